# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is recorded of an original image in its definition: by Maglica of one that it made, by hand
of any other.

By hand it is one element, ``<image checksum="sha256:…" origin="https://…"/>``. Of an image that
Maglica made the element names the request that made its domain, and there is a ``<version>`` with
the same attributes for each one that it had, the newest last, with the volumes that are its own.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..model import urls
from ..model.image import ImageVersion, image_uuid
from ..model.text import can_be_shown
from .metadata import (
    IMAGE_NAMESPACE,
    PREFIX,
    OwnVolume,
    children,
    moment_of,
    of_image,
    volume_of,
)

# Whoever writes a host's definitions writes all of this, and it is shown elsewhere.
MAX_SHOWN = 100
MAX_ORIGIN = 1000
MAX_WHO = 200
# The name of an algorithm and a digest.
_CHECKSUM = re.compile(r"[a-z0-9-]{2,16}:[0-9a-f]{32,128}")
_FORMAT = re.compile(r"[a-z0-9]{1,16}")
_SIZE = re.compile(r"[0-9]{1,18}")
_REQUEST = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True)
class OwnVersion:
    """A version of an image, and the volumes that Maglica made for it and for nothing else."""

    what: ImageVersion
    volumes: tuple[OwnVolume, ...] = ()


@dataclass(frozen=True)
class ImageRecord:
    """What is recorded of an image.

    ``request`` made its domain; it is empty for an image that Maglica did not make, which has no
    volumes of Maglica's either. ``versions`` has the newest last. ``nvram`` is the path of its own
    UEFI variables.
    """

    request: str = ""
    who: str = ""
    versions: tuple[OwnVersion, ...] = ()
    nvram: str | None = None

    @property
    def made(self) -> bool:
        """Whether Maglica made the image."""
        return bool(self.request)

    @property
    def newest(self) -> ImageVersion:
        """The version that its disks are, as far as something is recorded."""
        return self.versions[-1].what if self.versions else ImageVersion()

    @property
    def shown(self) -> tuple[ImageVersion, ...]:
        """Its versions as others may be told them: the newest, if there are very many."""
        return tuple(version.what for version in self.versions[-MAX_SHOWN:])

    @property
    def volumes(self) -> tuple[OwnVolume, ...]:
        """The volumes of all versions."""
        return tuple(volume for version in self.versions for volume in version.volumes)


def recorded(root: ET.Element, uuid: str) -> ImageRecord | None:
    """Return what is recorded of an image in the definition ``root`` of the domain ``uuid``.

    A copy that something else made of an image's definition has another UUID than goes with the
    request there: what it was made from is so of the copy too, but it is not Maglica's.
    """
    for _metadata, said in of_image(root):
        request = _text(said, "request", _REQUEST) or ""
        is_made = bool(request) and image_uuid(request) == uuid
        listed = list(children(said, "version"))
        if is_made:
            nvram = next((child.get("path") for child in children(said, "nvram")), None)
            who = said.get("who", "")
            return ImageRecord(
                request, who if _is_short(who, MAX_WHO) else "", _versions(listed), nvram
            )
        found = (replace(each.what, request="") for each in _versions(listed or [said]))
        known = (what for what in found if what != ImageVersion())
        return ImageRecord(versions=tuple(map(OwnVersion, known)))
    return None


def for_libvirt(record: ImageRecord) -> str:
    """Return the element that says so, as virDomainSetMetadata takes it: without a prefix."""
    return ET.tostring(_element(record, ""), encoding="unicode")


def write(root: ET.Element, record: ImageRecord) -> None:
    """Let the definition ``root`` say so, and nothing else of Maglica's about an image."""
    for metadata, old in list(of_image(root)):
        metadata.remove(old)
    metadata_element = root.find("metadata")
    if metadata_element is None:
        metadata_element = ET.Element("metadata")
        root.insert([child.tag for child in root].index("uuid") + 1, metadata_element)
    image = _element(record, f"{PREFIX}:")
    image.set(f"xmlns:{PREFIX}", IMAGE_NAMESPACE)
    metadata_element.append(image)


def with_version(record: ImageRecord, version: OwnVersion) -> ImageRecord:
    """Return the record with one more version, which is the newest."""
    return replace(record, versions=(*record.versions, version))


def without_versions(record: ImageRecord, requests: Sequence[str]) -> ImageRecord:
    """Return the record without the versions that these requests brought."""
    kept = (each for each in record.versions if each.what.request not in requests)
    return replace(record, versions=tuple(kept))


def _element(record: ImageRecord, prefix: str) -> ET.Element:
    image = ET.Element(f"{prefix}image", {"request": record.request, "who": record.who})
    for version in record.versions:
        said = ET.SubElement(image, f"{prefix}version", _attributes(version.what))
        for volume in version.volumes:
            ET.SubElement(said, f"{prefix}volume", vars(volume))
    if record.nvram is not None:
        ET.SubElement(image, f"{prefix}nvram", {"path": record.nvram})
    return image


def _versions(listed: Iterable[ET.Element]) -> tuple[OwnVersion, ...]:
    return tuple(map(_version, listed))


def _attributes(what: ImageVersion) -> dict[str, str]:
    known = {
        "request": what.request or None,
        "created": None if what.created is None else str(int(what.created)),
        "checksum": what.checksum,
        "origin": None if what.origin is None else urls.shown(what.origin),
        "format": what.format,
        "size": None if what.size_bytes is None else str(what.size_bytes),
    }
    return {name: value for name, value in known.items() if value is not None}


def _version(element: ET.Element) -> OwnVersion:
    """Return what an element says of a version; what has not the right form is not known."""
    size = _text(element, "size", _SIZE)
    origin = urls.shown(element.get("origin", ""))
    what = ImageVersion(
        checksum=_text(element, "checksum", _CHECKSUM),
        origin=origin if origin and _is_short(origin, MAX_ORIGIN) else None,
        format=_text(element, "format", _FORMAT),
        size_bytes=None if size is None else int(size),
        request=_text(element, "request", _REQUEST) or "",
        created=moment_of(element.get("created", "")),
    )
    return OwnVersion(what, tuple(map(volume_of, children(element, "volume"))))


def _text(element: ET.Element, name: str, form: re.Pattern[str]) -> str | None:
    found = element.get(name, "")
    return found if form.fullmatch(found) else None


def _is_short(text: str, most: int) -> bool:
    return len(text) <= most and can_be_shown(text)
