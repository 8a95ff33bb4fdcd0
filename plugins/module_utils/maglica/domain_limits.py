# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which definitions can't be cloned, and why: what two vms can't both have, or what could be
written to behind the original image's back.

virt-clone copies most of these as they are, and the clone then fails to start or shares something.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from .domain_metadata import namespace
from .domain_xml import QEMU_NAMESPACE, describe_disk

# What runs under QEMU (and libvirt's test driver): containers and Xen guests have other devices.
_DOMAIN_TYPES = frozenset({"kvm", "qemu", "hvf", "test"})
_COPIED_KINDS = frozenset({"file", "block", "volume"})
# Types whose sources are devices or sockets that one QEMU owns.
_EXCLUSIVE_KINDS = frozenset({"nvme", "vhostuser", "vhostvdpa"})
# Children of a disk's source that don't change how its bytes are read.
_PLAIN_SOURCE = frozenset({"seclabel", "privateData"})
_CHARACTER_DEVICES = ("serial", "parallel", "console", "channel", "redirdev", "rng", "smartcard")
_INTERFACES = {
    "hostdev": "passes a device of the host through",
    "vdpa": "owns a vDPA device of the host",
    "vhostuser": "owns a vhost-user socket",
    "server": "listens on a TCP port",
    "udp": "listens on a UDP port",
}
# Options that configure the virtual machine itself and open nothing that can be written to.
_QEMU_OPTIONS = frozenset(
    {
        "-acpitable",
        "-boot",
        "-cpu",
        "-fw_cfg",
        "-global",
        "-machine",
        "-msg",
        "-no-hpet",
        "-no-reboot",
        "-overcommit",
        "-rtc",
        "-smbios",
    }
)


def obstacles(root: ET.Element, own_networks: bool) -> Iterator[str]:
    """Yield each reason why the domain ``root`` can't be cloned, to follow "the image".

    ``own_networks``: the clone gets other interfaces, so that those of the image don't matter.
    """
    if root.get("type") not in _DOMAIN_TYPES:
        yield f"is a domain of type {root.get('type')!r}"
    for element in root.iterfind("devices/hostdev"):
        yield f"passes a {element.get('type', 'host')} device of the host through"
    for element in root.iterfind("devices/disk"):
        yield from _disk(element)
    yield from _same_sources(root)
    if not own_networks:
        for index, element in enumerate(root.iterfind("devices/interface")):
            yield from (f"has interface {index}, which {why}" for why in _interface(element))
    for kind in _CHARACTER_DEVICES:
        for element in root.iterfind(f"devices/{kind}"):
            yield from (f"has a {kind} device that {why}" for why in _character_device(element))
    yield from _other_devices(root)
    yield from _state(root)
    yield from _qemu_arguments(root)


def _disk(element: ET.Element) -> Iterator[str]:
    disk = describe_disk(element)
    name = f"has disk {disk.target}, which"
    source = element.find("source")
    if not disk.target:
        yield "has a disk without target"
    elif disk.kind in _EXCLUSIVE_KINDS:
        yield f"{name} is a device or socket that only one vm can own (type {disk.kind})"
    elif disk.shared or source is None:
        return
    elif disk.device == "lun":
        yield f"{name} is a SCSI device of the host"
    elif disk.kind not in _COPIED_KINDS:
        yield f"{name} has a {disk.kind} source, which can't be copied"
    elif element.find(".//encryption") is not None:
        yield f"{name} is encrypted"
    elif source.get("fdgroup"):
        yield f"{name} is passed as a file descriptor"
    else:
        odd = [child.tag for child in source if child.tag not in _PLAIN_SOURCE]
        if odd:
            yield f"{name} has <{odd[0]}> in its source, which can't be copied"


def _same_sources(root: ET.Element) -> Iterator[str]:
    seen = set()
    for disk in map(describe_disk, root.iterfind("devices/disk")):
        if disk.shared or disk.source is None:
            continue
        if disk.source in seen:
            yield f"has {disk.source} as two disks"
        seen.add(disk.source)


def _interface(element: ET.Element) -> Iterator[str]:
    kind = element.get("type", "")
    if kind in _INTERFACES:
        yield _INTERFACES[kind]
    source = element.find("source")
    if kind == "direct" and source is not None and source.get("mode") == "passthrough":
        yield f"owns the host's interface {source.get('dev')}"
    target = element.find("target")
    if target is not None and target.get("managed") == "no":
        yield f"needs the prepared device {target.get('dev')}"
    if element.find("portForward") is not None:
        yield "forwards ports of the host"


def _character_device(element: ET.Element) -> Iterator[str]:
    """Judge a character device; its type stands on itself or, for rng, on its backend."""
    if element.tag == "smartcard" and element.get("mode") == "host":
        yield "is a card reader of the host"
    backend = element.find("backend") if element.tag == "rng" else element
    if backend is None or (element.tag == "rng" and backend.get("model") != "egd"):
        return
    kind = backend.get("type")
    if kind in ("dev", "pipe"):
        source = backend.find("source")
        path = None if source is None else source.get("path")
        yield f"owns {path} of the host"
    if kind in ("tcp", "udp"):
        for source in backend.iterfind("source"):
            if source.get("mode") == "bind" and source.get("service", "0") != "0":
                yield f"listens on port {source.get('service')} of the host"


def _state(root: ET.Element) -> Iterator[str]:
    for element in root.iterfind("devices/tpm/backend"):
        if element.get("type") != "emulator":
            yield f"has a TPM of type {element.get('type')}, which only one vm can own"
    for element in root.iterfind("devices/memory"):
        path = element.findtext("source/path")
        if path and element.find("target/readonly") is None:
            yield f"keeps memory in {path}"
    for element in root.iterfind("os/nvram"):
        if element.get("type", "file") != "file":
            yield f"has UEFI variables with a {element.get('type')} source, which can't be copied"


def _other_devices(root: ET.Element) -> Iterator[str]:
    for element in root.iterfind("devices/filesystem/source"):
        if element.get("socket"):
            yield f"has a file system behind the socket {element.get('socket')}"
    for element in root.iterfind("devices/input"):
        if element.get("type") in ("evdev", "passthrough"):
            yield "owns an input device of the host"


def _qemu_arguments(root: ET.Element) -> Iterator[str]:
    for element in root:
        prefix, _colon, local = element.tag.rpartition(":")
        if local != "commandline" or namespace(prefix, element, root) != QEMU_NAMESPACE:
            continue
        for argument in element:
            value = argument.get("value", "")
            option = "-" + value.lstrip("-")
            if (
                argument.tag.endswith(":arg")
                and value.startswith("-")
                and option not in _QEMU_OPTIONS
            ):
                yield f"gives QEMU the option {value[:40]} by hand"
