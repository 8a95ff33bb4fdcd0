# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a clone's request leads to on its host: files, a definition, and lines in the guest."""

from __future__ import annotations

import ipaddress
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import libvirt
from maglica.disk import volumes
from maglica.disk.files import FilePool
from maglica.domain import (
    clone,
)
from maglica.domain import (
    definition as domain_xml,
)
from maglica.domain import (
    metadata as domain_metadata,
)
from maglica.domain.metadata import OwnVolume
from maglica.guest.base_plan import clean, lay_out
from maglica.guest.clone_plan import plan
from maglica.guest.edits import apply
from maglica.guest.facts import Mount
from maglica.guest.identity import HostKey, Identity, NicIdentity
from maglica.guest.inspect import OperatingSystem, examine
from maglica.host_worker.job.context import key_folder
from maglica.host_worker.job.vm.metadata import set_tags
from maglica.model.vm import vm_uuid
from maglica.verbs.clone import CloneSpec
from support import fake_libvirt, testdriver
from support import guest as debian
from support.domains import definition
from support.fake_filesystem import FakeFilesystem

# Between them they have all that a clone's name gets into: sockets, NVRAM, logs, several disks.
TAGGED = "00000001-0000-4000-8000-000000000000"
IMAGES = ("plain", "sockets", "uefi")
_SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True)


@dataclass(frozen=True)
class Effects:
    """``shape`` is what may not depend on any string of the request; ``paths`` are host files."""

    paths: tuple[str, ...]
    xml_shape: object
    guest_shape: object


class Host:
    """A host to be: a pool and a state folder, a libvirt to define on, and a prepared base."""

    def __init__(self, folder: Path) -> None:
        self.pool, self.state = folder / "pool", folder / "state"
        for path in (self.pool, self.state):
            path.mkdir(parents=True)
        self.files = fake_libvirt.Connection()
        self._pool = self.files.add_pool("default", self.pool)
        self._libvirt = libvirt.open("test:///default")
        base = FakeFilesystem(debian.FILES)
        findings = examine(base, _SYSTEM)
        edits, self._facts = lay_out(findings)
        apply((*clean(findings), *edits), base)
        self._base = base

    def close(self) -> None:
        self._libvirt.close()

    def effects(self, spec: CloneSpec, request_id: str) -> Effects:
        """Return what a clone leads to; nothing is made."""
        definitions = [self._definition(image, spec, request_id) for image in IMAGES]
        paths = [self._volume(spec, request_id, "vda").path]
        context = SimpleNamespace(settings=SimpleNamespace(state_dir=str(self.state)))
        paths.append(str(key_folder(context, request_id)))
        paths += [path for xml in definitions for path in _paths(ET.fromstring(xml))]
        shapes = tuple(_xml_shape(ET.fromstring(xml)) for xml in definitions)
        return Effects(tuple(paths), shapes, self._guest(spec))

    def _volume(self, spec: CloneSpec, request_id: str, target: str) -> OwnVolume:
        stem = volumes.of_vm(spec.name, target, vm_uuid(request_id))
        return FilePool("default", str(self.pool), 1).volume(target, stem)

    def outside(self, harmless: Effects, found: Effects) -> int:
        """Count the files that would not be in the folder of the harmless clone's counterpart."""
        pairs = zip(harmless.paths, found.paths)
        return sum(_folder(one) != _folder(other) for one, other in pairs) + abs(
            len(harmless.paths) - len(found.paths)
        )

    def _definition(self, image: str, spec: CloneSpec, request_id: str) -> str:
        xml = definition(image)
        disks = {
            disk.target: clone.DiskSource(self._volume(spec, request_id, disk.target).path)
            for disk in domain_xml.describe(xml).copied_disks
        }
        wanted = clone.ClonePlan(
            name=spec.name,
            uuid=vm_uuid(request_id),
            image=spec.image,
            request=request_id,
            created=1,
            who="alice",
            clone_mode=spec.clone_mode,
            disks=disks,
            interfaces=spec.interfaces,
            tags=spec.tags,
        )
        return clone.clone(xml, wanted)

    def act(self, spec: CloneSpec, request_id: str) -> bool:
        """Make a volume and define the vm; return whether both are what was asked for."""
        volume = self._volume(spec, request_id, "vda")
        FilePool("default", str(self.pool), 1).create(self.files, volume, 1 << 20)
        is_there = [path.name for path in self.pool.iterdir()] == [volume.name]
        (self.pool / volume.name).unlink()
        self._pool.refresh()
        xml = self._definition(IMAGES[0], spec, request_id)
        # The test driver knows no KVM, and of devices only what every driver has.
        root = ET.fromstring(xml)
        root.set("type", "test")
        for tag in ("devices", "os", "features", "cpu"):
            for element in root.findall(tag):
                root.remove(element)
        ET.SubElement(ET.SubElement(root, "os"), "type").text = "hvm"
        domain = self._libvirt.defineXML(ET.tostring(root, encoding="unicode"))
        try:
            found, wanted = domain_xml.describe(domain.XMLDesc()), domain_xml.describe(xml)
            return is_there and (found.name, found.made) == (wanted.name, wanted.made)
        finally:
            domain.undefine()

    def tag(self, tags: tuple[str, ...]) -> bool:
        """Tag a vm; return whether nothing but its tags has changed, to what was asked for."""
        metadata = (
            f"<maglica:vm xmlns:maglica='{domain_metadata.VM_NAMESPACE}' image='image.original'"
            f" request='{TAGGED}' created='1' who='alice' clone_mode='full'/>"
        )
        xml = testdriver.domain("tagged", 1, identity=vm_uuid(TAGGED), metadata=metadata)
        domain = self._libvirt.defineXML(xml)
        try:
            set_tags(domain, tags)
            found = domain_xml.describe(domain.XMLDesc()).made
            set_tags(domain, ())
            untagged = domain_xml.describe(domain.XMLDesc()).made
            return found is not None and found == replace(untagged, tags=tuple(sorted(set(tags))))
        except (ET.ParseError, libvirt.libvirtError):
            return False
        finally:
            domain.undefine()

    def _guest(self, spec: CloneSpec) -> object:
        nics = spec.interfaces or ()
        identity = Identity(
            hostname=spec.guest_name,
            machine_id="0" * 32,
            nics=tuple(
                NicIdentity(nic.mac or "", nic.addresses, nic.gateways, nic.nameservers, nic.search)
                for nic in nics
            ),
            host_keys=(HostKey("ed25519", b"key", "ssh-ed25519 AAAA"),),
            authorized_keys=spec.ssh_authorized_keys,
            root_password=spec.root_password,
            day=1,
        )
        guest = FakeFilesystem()
        guest.nodes = {path: _copy(node) for path, node in self._base.nodes.items()}
        apply(plan(self._facts, identity), guest, self._facts.laid_out)
        return tuple(
            (path, node.kind, _lines(path, node.content))
            for path, node in sorted(guest.nodes.items())
        )


def _copy(node):
    return type(node)(node.kind, node.content, node.mode, node.target)


def _lines(path: str, content: bytes) -> object:
    """Return what of a file's lines may not depend on a request: their number and their heads."""
    lines = content.replace(b"\r", b"\n").split(b"\n")
    if path == "/etc/shadow":
        return tuple(line.count(b":") for line in lines)
    if path.endswith(".rules"):
        return tuple((line.count(b'"'), line.count(b",")) for line in lines)
    if path in ("/etc/hostname", "/etc/machine-id"):
        return tuple(len(line.split()) for line in lines)
    heads = (line.split() for line in lines)
    return tuple((words[0], len(words) > 1) if words else () for words in heads)


def _xml_shape(element: ET.Element) -> object:
    return (element.tag, sorted(element.attrib), [_xml_shape(child) for child in element])


def _paths(root: ET.Element) -> Iterator[str]:
    """Yield every path of a definition that is one of this clone's."""
    for element in root.iter():
        for value in (*element.attrib.values(), element.text or ""):
            if value.strip().startswith("/"):
                yield value.strip()


def _folder(path: str) -> str:
    # As the kernel would follow it, and not as it is written; a NUL would end it early.
    return str(Path(os.path.normpath(path.partition("\0")[0])).parent)


def harmless(text: str, usual: str) -> str:
    """Return a harmless string of the same kind as ``text``, if its kind decides what is made."""
    try:
        is_ipv6 = ipaddress.ip_interface(text).version == 6
    except ValueError:
        return usual
    return ("2001:db8::7/64" if "/" in usual else "2001:db8::7") if is_ipv6 else usual
