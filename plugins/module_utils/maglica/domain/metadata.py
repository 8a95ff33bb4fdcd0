# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain's definition says in Maglica's own name spaces: of a vm what Maglica wrote. Of an
image: see image_metadata.py.

An element's name has the prefix with which it was written: see definition.py.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..model import moment, names
from ..model.moment import Moment
from ..model.vm import vm_uuid

VM_NAMESPACE = "https://maglica.cloud/xmlns/vm/1.0"
IMAGE_NAMESPACE = "https://maglica.cloud/xmlns/image/1.0"
PREFIX = "maglica"
# Names the domain's own UUID: a copy of its definition has another.
ADOPTED = "adopted"
# An attribute that is "yes" on a vm of which no data is destroyed.
PROTECTED = "protected"
# Whoever writes a host's definitions writes this too.
_SECONDS = re.compile(r"[0-9]{1,10}")
_BYTES = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class OwnVolume:
    """A volume that Maglica made for a disk ``target`` of a vm or image, and for nothing else.

    ``path`` is the one that it had when it was made: only while pool and name still lead there is
    what lies there shown to be its own.
    """

    target: str
    pool: str
    name: str
    path: str

    @property
    def sources(self) -> tuple[str, str]:
        """By what a definition may name it as a disk's source."""
        return self.path, f"{self.pool}/{self.name}"


@dataclass(frozen=True)
class Made:
    """What Maglica wrote into the metadata of a vm that it made, or adopted.

    ``adopted``: others made it, and ``request`` is the one by which Maglica may run and change it.
    It has no image then, and nothing of it is Maglica's own but the disks that were added.
    ``image_version`` is the version of the image that it has a clone of, empty for a vm of before
    that was recorded. ``base`` is the id of the base that a linked vm builds upon. ``tags`` are
    sorted. ``addresses`` are pairs of a MAC address and a static address of that interface, with
    its prefix length. ``volumes`` are the vm's own, ``nvram`` is the path of its own UEFI
    variables; what is not named here is not Maglica's to remove. ``ssh_host_keys`` are the public
    ones that it was given, as in known_hosts(5) without the host. ``sizes`` are what the guest saw
    of its volumes when they were made, in bytes, by the disks' targets. ``customize`` is the way in
    which it was made a guest of its own, with the reason. ``asked`` are words for what was asked
    for when it was made: see verbs/clone.py. ``protected``: no data of it is destroyed.
    ``disk_names`` are those of disks that were added, by the paths of their volumes; ``kept`` are
    the volumes of those that were detached since, which are not removed with the vm.
    """

    image: str
    request: str
    created: Moment | None
    who: str
    clone_mode: str
    image_version: str = ""
    addresses: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    base: str | None = None
    volumes: tuple[OwnVolume, ...] = ()
    nvram: str | None = None
    ssh_host_keys: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    customize: str | None = None
    customize_reason: str | None = None
    asked: tuple[str, ...] = ()
    adopted: bool = False
    protected: bool = False
    disk_names: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, OwnVolume] = field(default_factory=dict)

    @property
    def disks(self) -> dict[str, OwnVolume]:
        """The vm's own volumes by the disks' names: those that it was made with have none but
        their target.
        """
        return {self.disk_names.get(each.path, each.target): each for each in self.volumes}


def made(root: ET.Element, uuid: str) -> Made | None:
    """Return what is said of a vm that Maglica made or adopted; None for every other domain."""
    for _metadata, element in of_vm(root):
        if ADOPTED in element.attrib:
            return _adopted(element, uuid)
        # A copy that something else made of a vm has the vm's metadata, but not the UUID that goes
        # with the request there.
        if vm_uuid(element.get("request", "")) != uuid:
            return None
        return Made(
            image=element.get("image", ""),
            **_asked_by(element),
            clone_mode=element.get("clone_mode", ""),
            customize=element.get("customize"),
            customize_reason=element.get("customize_reason"),
            asked=tuple(element.get("asked", "").split()),
            protected=_is_protected(element),
            image_version=element.get("image_version", ""),
            base=element.get("base"),
            addresses=tuple(
                (child.get("mac", ""), child.get("address", ""))
                for child in children(element, "address")
            ),
            tags=_tags(element),
            nvram=next((child.get("path") for child in children(element, "nvram")), None),
            ssh_host_keys=names.ssh_host_keys(
                child.text or "" for child in children(element, "ssh_host_key")
            ),
            **_volumes(element, list(children(element, "volume"))),
        )
    return None


def _volumes(element: ET.Element, own: Sequence[ET.Element]) -> dict[str, Any]:
    """Return what is said of a vm's own volumes, and of those that it had."""
    return {
        "volumes": tuple(map(volume_of, own)),
        "sizes": {
            child.get("target", ""): int(child.get("size", ""))
            for child in own
            if _BYTES.fullmatch(child.get("size", ""))
        },
        "disk_names": {
            child.get("path", ""): child.get("disk", "") for child in own if child.get("disk")
        },
        "kept": {child.get("disk", ""): volume_of(child) for child in children(element, "kept")},
    }


def _adopted(element: ET.Element, uuid: str) -> Made | None:
    """Return what is said of an adopted domain; None for a copy of one, with its metadata."""
    if element.get(ADOPTED) != uuid:
        return None
    # Of all others Maglica has made none.
    added = [child for child in children(element, "volume") if child.get("disk")]
    said = {**_asked_by(element), "tags": _tags(element), "protected": _is_protected(element)}
    return Made(image="", clone_mode="", adopted=True, **said, **_volumes(element, added))


def adoption(uuid: str, request: str, created: Moment, who: str) -> ET.Element:
    """Return the element that says that the domain ``uuid`` was adopted, without a prefix, as
    virDomainSetMetadata takes it.
    """
    said = {ADOPTED: uuid, "request": request, "created": str(int(created)), "who": who}
    return ET.Element("vm", said)


def _asked_by(element: ET.Element) -> dict[str, Any]:
    return {
        "request": element.get("request", ""),
        "created": moment_of(element.get("created", "")),
        "who": element.get("who", ""),
    }


def _is_protected(element: ET.Element) -> bool:
    return element.get(PROTECTED) == "yes"


def _tags(element: ET.Element) -> tuple[str, ...]:
    return tuple(sorted({child.get("name", "") for child in element if is_tag(child)} - {""}))


def is_tag(element: ET.Element) -> bool:
    """Say whether an element in Maglica's metadata is a tag of the vm."""
    return element.tag.rpartition(":")[2] == "tag"


def children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    """Yield the children of that name, whatever prefix they have."""
    return (child for child in element if child.tag.rpartition(":")[2] == name)


def moment_of(text: str) -> Moment | None:
    """Return the time that ``text`` says, None if it is none that can be shown."""
    found = Moment(int(text)) if _SECONDS.fullmatch(text) else moment.NEVER
    return found if moment.NEVER < found < moment.END else None


def volume_of(element: ET.Element) -> OwnVolume:
    """Return what a <volume> in Maglica's metadata says."""
    fields = ("target", "pool", "name", "path")
    return OwnVolume(*(element.get(field, "") for field in fields))


def of_vm(root: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    """Yield (<metadata>, what Maglica wrote of a vm in it) for each one that is there."""
    return _elements(root, "vm", VM_NAMESPACE)


def of_image(root: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    """Yield (<metadata>, what was recorded of an image in it) for each one that is there."""
    return _elements(root, "image", IMAGE_NAMESPACE)


def _elements(root: ET.Element, name: str, uri: str) -> Iterator[tuple[ET.Element, ET.Element]]:
    for metadata in root.iterfind("metadata"):
        for element in metadata:
            prefix, _colon, local = element.tag.rpartition(":")
            if local == name and namespace(prefix, element, metadata, root) == uri:
                yield metadata, element


def namespace(prefix: str, *scopes: ET.Element) -> str | None:
    """Return the name space that ``prefix`` has in the innermost of ``scopes`` that declares it."""
    attribute = f"xmlns:{prefix}" if prefix else "xmlns"
    return next((scope.get(attribute) for scope in scopes if scope.get(attribute)), None)
