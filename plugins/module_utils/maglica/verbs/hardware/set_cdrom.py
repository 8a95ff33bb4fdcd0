# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put an ISO image into a vm's drive for CDs, or take one out; the image is only ever read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ...image import origin
from ...model.checks import Check, boolean, optional, record
from ...model.errors import MessageInvalid, NameInvalid
from ...model.plain import plain
from ...model.vm import Domain
from ..verb import (
    ALLOW_RESTART,
    ENDING,
    FORCE,
    NAME,
    SHUTDOWN_TIMEOUT,
    Change,
    Interrupted,
    OnVm,
    Option,
    Verb,
    WantedVm,
    restarting,
    vm_record,
)

FEATURE = "cdrom"
_MAX_PATH = 4095


@dataclass(frozen=True)
class Medium:
    """An ISO image on the host: a file at ``path``, or the ``volume`` of a storage pool. Neither:
    none, for the drive of a new vm whose image may have one in it.
    """

    path: str | None = None
    pool: str | None = None
    volume: str | None = None

    @property
    def source(self) -> str | None:
        """What a definition shows of it."""
        return None if self == NO_MEDIUM else self.path or f"{self.pool}/{self.volume}"


NO_MEDIUM = Medium()


@dataclass(frozen=True)
class SetCdromSpec(OnVm):
    """A vm in whose drive this medium shall be; None: no medium."""

    verb = "set_cdrom"
    medium: Medium | None = None
    allow_restart: bool = False
    force: bool = False
    stop_timeout: int = 120


class WantsMedium(WantedVm, Protocol):
    """What must be known of how a vm shall be; ``cdrom`` None: its drive is left as it is."""

    @property
    def cdrom(self) -> WantedMedium | None: ...


@dataclass(frozen=True)
class WantedMedium:
    """What shall be in a vm's drive; None: nothing."""

    medium: Medium | None


def _path(value: Any, path: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_PATH or not origin.is_path(value):
        raise MessageInvalid(f"{path}: not an absolute path of a file")
    return value


_FIELDS = record(
    Medium,
    path=optional(Check(_path, {"type": "string", "pattern": "^/", "maxLength": _MAX_PATH})),
    pool=optional(NAME),
    volume=optional(NAME),
)


def _read(value: Any, path: str) -> Medium:
    medium: Medium = _FIELDS.read(value, path)
    is_volume = medium.pool is not None and medium.volume is not None
    is_none = medium.pool is None and medium.volume is None
    if not (is_none if medium.path is not None else is_volume):
        raise MessageInvalid(f"{path}: not either a path, or a pool and a volume")
    return medium


_EITHER = [
    {"required": ["path"], "properties": {"path": {"type": "string"}}},
    {"required": ["pool", "volume"]},
    {"properties": {key: {"type": "null"} for key in ("path", "pool", "volume")}},
]
medium = Check(_read, {**_FIELDS.schema, "anyOf": _EITHER})
# Of a vm that is to be made, which would have its image's.
medium_or_none = Check(
    lambda value, path: (
        NO_MEDIUM if _FIELDS.read(value, path) == NO_MEDIUM else medium.read(value, path)
    ),
    medium.schema,
)


def wanted(said: Mapping[str, Any] | WantedMedium | None) -> WantedMedium | None:
    """Return what is asked for, as plain data with ``present``. Raises MessageInvalid."""
    if said is None or isinstance(said, WantedMedium):
        return said
    told = dict(said)
    if not told.pop("present", True):
        return WantedMedium(None)
    return WantedMedium(medium(plain(told), "cdrom"))


def _change(wanted: WantsMedium, existing: Domain) -> Change | None:
    if wanted.cdrom is None:
        return None
    # The one with what cloud-init is told is the vm's own.
    drives = [disk for disk in existing.disks if disk.device == "cdrom" and not disk.name]
    now = drives[0].source if drives else None
    asked = wanted.cdrom.medium
    after = None if asked is None else asked.source
    if now == after:
        return None
    pinned = (existing.name, existing.uuid, existing.host)
    spec = SetCdromSpec(*pinned, asked, *restarting(wanted, existing, can_wait=False))
    return Change(spec, {"cdrom": after}, before={"cdrom": now})


def _said(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a command line says. Raises NameInvalid."""
    if said["volume"] is not None and said["pool"] is None:
        raise NameInvalid("--volume goes with --pool")
    named = {key: said[key] for key in ("path", "pool", "volume")}
    return {"cdrom": {**named, "present": not said["eject"]}}


SET_CDROM = Verb(
    spec=SetCdromSpec,
    record=vm_record(SetCdromSpec, medium=optional(medium), allow_restart=boolean, **ENDING),
    help="put an ISO image into a vm's drive, or take it out",
    act="set the cdrom of",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("path", "--path", "of the image on the vm's host", "text", either="medium"),
        Option("pool", "--pool", "or the storage pool that has it", "text", either="medium"),
        Option("volume", "--volume", "and its name there", "text"),
        Option("eject", "--eject", "take it out", "switch", either="medium"),
        ALLOW_RESTART,
        FORCE,
        SHUTDOWN_TIMEOUT,
    ),
    change=_change,
    wants=_said,
    feature=FEATURE,
)
