# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Maglica wrote into the definition of a vm, changed in place, whether it runs or not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...._deps import need
from ....domain import metadata
from ....domain.metadata import OwnVolume
from ....model.request import CloneMode


def set_tags(domain: Any, tags: Sequence[str]) -> None:
    """Give a domain (virDomain) these tags and no others."""
    with _edited(domain) as element:
        for child in [child for child in element if metadata.is_tag(child)]:
            element.remove(child)
        for name in sorted(set(tags)):
            ET.SubElement(element, "tag", {"name": name})


def set_independent(domain: Any) -> None:
    """Note that a domain builds upon no base any more."""
    with _edited(domain) as element:
        element.set("clone_mode", CloneMode.FULL.value)
        element.attrib.pop("base", None)


def set_disk(
    domain: Any, name: str, volume: OwnVolume | None, size: int | None = None, kept: bool = False
) -> None:
    """Note that a volume is the vm's further disk of that name, attached or ``kept``; None: it has
    none. ``size`` is what the guest sees of it, in bytes.
    """
    with _edited(domain) as element:
        for child in list(element):
            if child.get("disk") == name:
                size = size or int(child.get("size") or 0) or None
                element.remove(child)
        if volume is not None:
            said = {} if size is None else {"size": str(size)}
            attributes = {"disk": name, "target": volume.target, **said, "pool": volume.pool}
            attributes |= {"name": volume.name, "path": volume.path}
            ET.SubElement(element, "kept" if kept else "volume", attributes)


def set_size(domain: Any, volume: OwnVolume, size: int) -> None:
    """Note how many bytes a guest sees of one of the vm's own volumes."""
    with _edited(domain) as element:
        for child in metadata.children(element, "volume"):
            if child.get("path") == volume.path:
                child.set("size", str(size))


def set_protected(domain: Any, protected: bool) -> None:
    """Note that no data of a domain is to be destroyed, or that it may be."""
    with _edited(domain) as element:
        element.attrib.pop(metadata.PROTECTED, None)
        if protected:
            element.set(metadata.PROTECTED, "yes")


def set_description(domain: Any, description: str | None) -> None:
    """Give a domain a description, or none."""
    kind = need("libvirt").VIR_DOMAIN_METADATA_DESCRIPTION
    domain.setMetadata(kind, description, None, None, _affected(domain))


def _affected(domain: Any) -> int:
    """Return the flags for a change of what a domain is now and of what it is at its next start."""
    libvirt = need("libvirt")
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    if domain.isPersistent():
        flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
    return int(flags)


@contextmanager
def _edited(domain: Any) -> Iterator[ET.Element]:
    """Yield Maglica's element; write it back when the block ends without an error.

    It is that of the definition: a domain that was started from a saved state runs with what was
    said of it before, which is not to come back.
    """
    libvirt = need("libvirt")
    kind, uri = libvirt.VIR_DOMAIN_METADATA_ELEMENT, metadata.VM_NAMESPACE
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    # libvirt gives and takes the element without its prefix.
    element = ET.fromstring(domain.metadata(kind, uri, flags))  # noqa: S314 - bounded, libvirtd's
    yield element
    write(domain, ET.tostring(element, encoding="unicode"))


def write(domain: Any, element: str | None) -> None:
    """Have a domain say this of Maglica's, or nothing at all, and all else as before."""
    libvirt = need("libvirt")
    kind, uri = libvirt.VIR_DOMAIN_METADATA_ELEMENT, metadata.VM_NAMESPACE
    domain.setMetadata(kind, element, metadata.PREFIX, uri, _affected(domain))
