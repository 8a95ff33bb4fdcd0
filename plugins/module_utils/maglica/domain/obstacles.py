# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which definitions can't be cloned, and why: what two vms can't both have, or what could be
written to behind the original image's back.

virt-clone copies most of these as they are, and the clone then fails to start or shares something.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from .definition import describe_disk
from .known import CHARACTER_DEVICES, credential, unknown, words
from .qemu import by_hand

# What runs under QEMU (and libvirt's test driver): containers and Xen guests have other devices.
_DOMAIN_TYPES = frozenset({"kvm", "qemu", "hvf", "test"})
_COPIED_KINDS = frozenset({"file", "block", "volume"})
# Types whose sources are devices or sockets that one QEMU owns.
_EXCLUSIVE_KINDS = frozenset({"nvme", "vhostuser", "vhostvdpa"})
# Children of a disk's source that don't change how its bytes are read.
_PLAIN_SOURCE = frozenset({"seclabel", "privateData"})
# Backends of a character device of which each vm has its own, or which share nothing but a service.
_BACKENDS = words("dbus file null pty qemu-vdagent spiceport spicevmc stdio tcp udp unix vc")
_PLAIN_INTERFACES = words("bridge client direct ethernet internal mcast network null user")
_DISPLAYS = words("dbus desktop egl-headless rdp sdl spice vnc")
_INPUTS = frozenset({"keyboard", "mouse", "tablet"})
# Of what starts a guest in encrypted memory; the rest is made for one guest's start.
_PLAIN_SECURITY = frozenset(
    {"cbitpos", "guestVisibleWorkarounds", "policy", "quoteGenerationService", "reducedPhysBits"}
)
# Of a kernel's command line: kernel-parameters(7), systemd(1), dracut.cmdline(7).
_IDENTITY_PARAMETERS = words(
    """
    hostname ifname iscsi_initiator rd.iscsi.initiator rd.nvmf.hostid rd.nvmf.hostnqn
    systemd.hostname systemd.machine_id
    """
)
_INTERFACES = {
    "hostdev": "passes a device of the host through",
    "vdpa": "owns a vDPA device of the host",
    "vhostuser": "owns a vhost-user socket",
    "server": "listens on a TCP port",
    "udp": "listens on a UDP port",
}


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
    for kind in CHARACTER_DEVICES:
        for element in root.iterfind(f"devices/{kind}"):
            yield from (f"has a {kind} device that {why}" for why in _character_device(element))
    yield from _other_devices(root)
    yield from _firmware(root)
    yield from _told_guest(root)
    yield from _state(root)
    yield from by_hand(root)
    yield from unknown(root, own_networks)


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
    elif kind not in _PLAIN_INTERFACES:
        yield f"is of a type that is not known, {kind!r}"
    source = element.find("source")
    if kind == "direct" and source is not None and source.get("mode") == "passthrough":
        yield f"owns the host's interface {source.get('dev')}"
    target = element.find("target")
    if target is not None and target.get("managed") == "no":
        yield f"needs the prepared device {target.get('dev')}"
    if element.find("portForward") is not None:
        yield "forwards ports of the host"
    if kind != "user" and any(child.tag in ("ip", "route") for child in element.iter()):
        yield "gives the host an address or a route"


def _character_device(element: ET.Element) -> Iterator[str]:
    """Judge a character device; its type stands on itself or, for rng, on its backend."""
    if element.tag == "smartcard" and element.get("mode") == "host":
        yield "is a card reader of the host"
    if element.tag == "smartcard" and element.get("mode") == "host-certificates":
        yield "shows certificates of the host, the identity of one card"
        return
    backend = element.find("backend") if element.tag == "rng" else element
    if backend is None or (element.tag == "rng" and backend.get("model") in ("random", "builtin")):
        return
    kind = backend.get("type", "")
    if kind in ("dev", "pipe"):
        source = backend.find("source")
        path = None if source is None else source.get("path")
        yield f"owns {path} of the host"
    elif kind not in _BACKENDS and element.get("mode") != "host":
        yield f"has a backend of a type that is not known, {kind!r}"
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
    for element in root.iterfind("launchSecurity/*"):
        if element.tag not in _PLAIN_SECURITY:
            yield f"has <{element.tag}> for its start in encrypted memory, made for it alone"
    if root.find("resource/fibrechannel") is not None:
        yield "has an identity of its own on Fibre Channel"


def _firmware(root: ET.Element) -> Iterator[str]:
    for element in root.iterfind("os/loader"):
        # QEMU has write access to a flash device that is not said to be read-only.
        if element.get("type") == "pflash" and element.get("readonly") != "yes":
            yield (
                f"can write to its firmware {(element.text or '').strip()}, which its clones would"
                " share: make its <loader> read-only, with UEFI variables in <nvram>"
            )
    for element in root.iterfind("os/nvram"):
        if element.get("type", "file") != "file":
            yield f"has UEFI variables with a {element.get('type')} source, which can't be copied"
    if root.find("os/varstore") is not None:
        yield "has UEFI variables in a <varstore>, which is not supported: let it have <nvram>"


def _told_guest(root: ET.Element) -> Iterator[str]:
    """Judge what a guest is told of itself from outside."""
    for word in root.findtext("os/cmdline", "").split():
        name, _equals, value = word.partition("=")
        # ip= begins with an address, or else with an interface or a method; what cloud-init takes
        # from network-config= is encoded.
        is_address = (name == "ip" and (value[:1].isdigit() or "[" in value)) or (
            name == "network-config" and value != "disabled"
        )
        if name in _IDENTITY_PARAMETERS or is_address or credential(word):
            yield f"is told {word[:80]} on its kernel's command line, which only one vm can be"
    for entry in root.iterfind("sysinfo//entry"):
        told = credential(f"{entry.get('name', '')}={entry.text or ''}")
        if told:
            yield f"is told {told} by <sysinfo>, which only one vm can be"


def _other_devices(root: ET.Element) -> Iterator[str]:
    for element in root.iterfind("devices/filesystem"):
        yield from _filesystem(element)
    for element in root.iterfind("devices/input"):
        if element.get("type") not in _INPUTS:
            yield "owns an input device of the host"
    for element in root.iterfind("devices/shmem"):
        yield f"has the memory {element.get('name')} in common with other vms (shmem)"
    for element in root.iterfind("devices/lease"):
        yield f"holds the lease {element.findtext('key')}, which only one vm can have"
    for element in root.iterfind("devices/graphics"):
        if element.get("type") not in _DISPLAYS:
            yield f"has a display of a type that is not known, {element.get('type')!r}"
        if element.get("type") == "dbus" and element.get("address"):
            yield f"has a display on the bus {element.get('address')}, where only one vm can be"


def _filesystem(element: ET.Element) -> Iterator[str]:
    source = element.find("source")
    place = {} if source is None else source.attrib
    if "socket" in place:
        yield f"has a file system behind the socket {place['socket']}"
    elif element.find("readonly") is None:
        found = next(iter(place.values()), element.get("type"))
        yield (
            f"can write to {found} of the host, which its clones would share: make that"
            " <filesystem> read-only"
        )
