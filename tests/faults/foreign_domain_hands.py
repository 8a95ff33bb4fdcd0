# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an admin does to domains on the host, to the image and to the host worker's journal."""

from __future__ import annotations

import os
import subprocess
import uuid

import libvirt
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from support import qemu_libvirtd

from .foreign_hands import FileHands, choices


class DomainHands(FileHands):
    """Snapshots, copies of definitions, disks that come and go, files that others build upon."""

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, external=st.booleans())
    def take_a_snapshot(self, number: int, external: bool) -> None:
        domain = self._domain(number)
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY if external else 0
        name = f"snap{next(self._numbers)}"
        if domain is not None:
            self._try(
                lambda: domain.snapshotCreateXML(
                    f"<domainsnapshot><name>{name}</name></domainsnapshot>", flags
                )
            )
        self.world.look_around()

    def _domain(self, number: int) -> libvirt.virDomain | None:
        vm = list(self.world.vms.values())[number % len(self.world.vms)]
        try:
            return self.world.connection.lookupByUUIDString(vm.uuid)
        except libvirt.libvirtError:
            return None

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, edited=st.booleans())
    def copy_a_definition(self, number: int, edited: bool) -> None:
        domain = self._domain(number)
        if domain is not None:
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            copied = xml.replace(domain.UUIDString(), str(uuid.UUID(int=next(self._numbers) + 1)))
            name = f"theirs{next(self._numbers)}"
            copied = copied.replace(f"<name>{domain.name()}", f"<name>{name}")
            if edited:
                copied = copied.replace("target dev='vda'", "target dev='vdz'")
            self._try(lambda: self.world.connection.defineXML(copied))
        self.world.look_around()

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, raw=st.booleans())
    def attach_a_disk(self, number: int, raw: bool) -> None:
        """A file of the admin's own, or one that lies there already."""
        domain = self._domain(number)
        path = self._elsewhere("disk.raw") if raw else self._file(number // 7)
        if domain is not None and path is not None:
            if raw:
                path.write_bytes(b"theirs" * 1000)
            kind = "raw" if raw else "qcow2"
            target = f"vd{'efghijkl'[next(self._numbers) % 8]}"
            disk = (
                f"<disk type='file'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
                f"<target dev='{target}' bus='virtio'/></disk>"
            )
            config = libvirt.VIR_DOMAIN_AFFECT_CONFIG
            self._try(lambda: domain.attachDeviceFlags(disk, config))
        self.world.look_around()

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices)
    def detach_a_disk(self, number: int) -> None:
        domain = self._domain(number)
        if domain is not None:
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            disks = [f"<disk{part.split('</disk>')[0]}</disk>" for part in xml.split("<disk")[1:]]
            if disks:
                config = libvirt.VIR_DOMAIN_AFFECT_CONFIG
                self._try(lambda: domain.detachDeviceFlags(disks[number % len(disks)], config))
        self.world.look_around()

    @rule(number=choices, in_pool=st.booleans())
    def build_upon_a_file(self, number: int, in_pool: bool) -> None:
        """An overlay of the admin's, with a domain of the admin's if it lies outside the pools."""
        path = self._file(number)
        if path is not None and path.exists() and not path.is_symlink():
            name = f"overlay{next(self._numbers)}"
            target = path.with_name(name) if in_pool else self._elsewhere(name)
            words = [
                "qemu-img",
                "create",
                "-q",
                "-u",
                "-f",
                "qcow2",
                "-F",
                "qcow2",
                "-b",
                str(path),
            ]
            done = subprocess.run([*words, str(target), "1M"], check=False, capture_output=True)
            if done.returncode:
                target.unlink(missing_ok=True)
            elif not in_pool:
                xml = qemu_libvirtd.definition(name, {"vda": ("qcow2", target)})
                self.world.connection.defineXML(xml)
        self.world.look_around()

    @rule(number=choices, in_quotes=st.booleans())
    def refer_by_a_detour(self, number: int, in_quotes: bool) -> None:
        """A domain that has a file only in an argument for QEMU, or below a name in QEMU's JSON."""
        path = self._file(number)
        if path is None or path.is_symlink() or not path.exists():
            return
        name = f"detour{next(self._numbers)}"
        disks = {}
        words = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b"]
        if in_quotes:
            overlay = self._elsewhere(name)
            below = f"{{'driver':'qcow2','file':{{'driver':'file','filename':'{path}'}}}}"
            subprocess.run([*words, f"json:{below}", str(overlay), "1M"], check=True)
            disks["vda"] = ("qcow2", overlay)
        xml = qemu_libvirtd.definition(name, disks)
        if not in_quotes:
            argument = f"<q:arg value='-drive'/><q:arg value='file={path},if=virtio,readonly=on'/>"
            space = "xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'"
            xml = xml.replace("<domain ", f"<domain {space} ", 1)
            xml = xml.replace("</domain>", f"<q:commandline>{argument}</q:commandline></domain>")
        self.world.connection.defineXML(xml)
        self.world.detours.append((os.path.realpath(path), f"domain {name}"))
        self.world.look_around()

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices)
    def let_metadata_name_a_file(self, number: int) -> None:
        """Of the admin's own, as if it were a vm's."""
        domain = self._domain(number)
        theirs = self._elsewhere("important")
        theirs.write_bytes(b"theirs")
        if domain is not None:
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            named = f"<maglica:nvram path='{theirs}'/></maglica:vm>"
            self._try(lambda: self.world.connection.defineXML(xml.replace("</maglica:vm>", named)))
        self.world.look_around()

    @rule()
    def lose_the_journal(self) -> None:
        world = self.world
        world.context.journal.close()
        for path in (world.folder / "state").glob("host_worker.sqlite*"):
            path.unlink()
        world.context = world.new_context()
        world.look_around()

    @rule()
    def write_to_the_image(self) -> None:
        with (self.world.folder / "image" / "vda.raw").open("ab") as disk:
            disk.write(b"more" * 128)
        self.world.look_around()
