# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of a storage pool: checked, written as libvirt's XML, read, and compared.

The format is https://libvirt.org/formatstorage.html.
"""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass, replace

from ..model.errors import ConfigInvalid
from . import definition

DEFAULT_PATH = "/var/lib/libvirt/images"
TYPES = ("dir", "fs")


@dataclass(frozen=True)
class PoolDefinition:
    """A pool, wanted or there; None: that is not said.

    ``source`` is the device of a file system, ``mode`` that of the folder in octal digits.
    ``owner`` and ``group`` are numbers, or names that were not looked up yet.
    """

    name: str
    type: str | None = None
    path: str | None = None
    source: str | None = None
    mode: str | None = None
    owner: int | str | None = None
    group: int | str | None = None

    def __post_init__(self) -> None:
        if self.path:
            object.__setattr__(self, "path", posixpath.normpath(self.path))
        if self.mode:
            object.__setattr__(self, "mode", f"{_octal(self.mode):04o}")

    @property
    def uuid(self) -> str:
        """The UUID that it has if Maglica made it."""
        return definition.own_uuid("pool", self.name, self.type or "", self.path or "")


def check(wanted: PoolDefinition) -> None:
    """Raise ConfigInvalid if there can't be such a pool."""
    definition.check_name(wanted.name, "pool")
    for option, value in (("path", wanted.path), ("source", wanted.source)):
        if value is not None and not value.startswith("/"):
            raise ConfigInvalid(f"{option}: {value} of pool {wanted.name} is no absolute path")
    said = [key for key in ("mode", "owner", "group") if getattr(wanted, key) is not None]
    if wanted.type == "fs" and said:
        raise ConfigInvalid(f"{said[0]}: pool {wanted.name} has that of its file system")
    if wanted.type == "fs" and wanted.source is None:
        raise ConfigInvalid(
            f"source: pool {wanted.name} of type fs needs the device that has its file system"
        )
    if wanted.type == "dir" and wanted.source is not None:
        raise ConfigInvalid(f"source: pool {wanted.name} of type dir has none")


def complete(wanted: PoolDefinition) -> PoolDefinition:
    """Return the pool to be made, with what was not said."""
    kind = wanted.type or ("fs" if wanted.source else "dir")
    return replace(wanted, type=kind, path=wanted.path or DEFAULT_PATH)


def xml(pool: PoolDefinition) -> str:
    """Return the definition of a complete pool."""
    root = ET.Element("pool", type=str(pool.type))
    ET.SubElement(root, "name").text = pool.name
    ET.SubElement(root, "uuid").text = pool.uuid
    if pool.source:
        ET.SubElement(ET.SubElement(root, "source"), "device", path=pool.source)
    target = ET.SubElement(root, "target")
    ET.SubElement(target, "path").text = pool.path
    said = {key: getattr(pool, key) for key in ("mode", "owner", "group")}
    said = {key: value for key, value in said.items() if value is not None}
    if said:
        permissions = ET.SubElement(target, "permissions")
        for key, value in said.items():
            ET.SubElement(permissions, key).text = str(value)
    return definition.written(root)


def read(text: str) -> PoolDefinition:
    """Return the pool that a definition of libvirt's describes."""
    root = ET.fromstring(text)  # noqa: S314 - written by libvirtd from its own tree
    device = root.find("source/device")
    permissions = {
        key: root.findtext(f"target/permissions/{key}") for key in ("mode", "owner", "group")
    }
    return PoolDefinition(
        name=root.findtext("name") or "",
        type=root.get("type"),
        path=root.findtext("target/path"),
        source=None if device is None else device.get("path"),
        mode=permissions["mode"],
        owner=_number(permissions["owner"]),
        group=_number(permissions["group"]),
    )


def differences(wanted: PoolDefinition, there: PoolDefinition) -> list[str]:
    """Return in words in what a pool is not as it is wanted."""
    return list(definition.differences(asdict(wanted), asdict(there)))


def _octal(mode: str) -> int:
    try:
        number = int(mode, 8)
    except ValueError:
        number = -1
    if not 0 <= number <= 0o7777:
        raise ConfigInvalid(f"mode: {mode[:20]!r} is no mode in octal digits such as '0711'")
    return number


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
