# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acts of Maglica and of an admin in any order (hypothesis), and what must hold after each.

After each step: no file that Maglica did not make is changed or gone; none that anything refers to
is gone; what a done request made is there or was removed by a request; nothing of Maglica's is left
that metadata, the journal or the list of leftovers does not name.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import libvirt
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from maglica.model import CloneMode, CloneSpec, ImageSpec, Kind, Request, State, VmSpec
from support import qemu_libvirtd

from .foreign_world import (
    HOST,
    IMAGE,
    POOLS,
    Violation,
    Vm,
    World,
    mount,
    tear_down,
    unmount,
)

choices = st.integers(0, 1 << 16)
pools = st.sampled_from(POOLS)
KILLS = st.one_of(st.just(0), st.integers(1, 24))


class Foreign(RuleBasedStateMachine):
    """One life of a host. ``start`` gives the next world, ``seen`` is told each world's steps."""

    start: Callable[[], World]
    seen: Callable[[World], None]

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count()
        self.world: World | None = None
        self.folders: list[tuple[str, Path, Path]] = []
        self.moved: dict[Path, Path] = {}
        self.mounted: set[str] = set()
        self.filled: list[Path] = []

    @initialize()
    def begin(self) -> None:
        self.world = type(self).start()

    def teardown(self) -> None:
        if self.world is not None:
            tear_down(self.world)
            type(self).seen(self.world)

    # --- Maglica

    @rule(mode=st.sampled_from(CloneMode), pool=st.one_of(st.none(), pools), kill=KILLS)
    def clone(self, mode: CloneMode, pool: str | None, kill: int) -> None:
        spec = CloneSpec(f"vm{next(self._numbers)}", IMAGE, clone_mode=mode, pool=pool, start=False)
        self._clone(spec, kill)

    @rule()
    def clone_that_fails(self) -> None:
        self.world.unlucky = True
        self._clone(CloneSpec(f"vm{next(self._numbers)}", IMAGE, start=False), 0)
        self.world.unlucky = False

    def _clone(self, spec: CloneSpec, kill: int) -> None:
        world = self.world
        request = world.request(Kind.CLONE, spec)
        world.kill_in = kill
        before = set(world.ours)
        (now,) = world.run(request.id)
        if now is not None and now.state is State.DONE:
            made = {path for path in world.ours if Path(path).name.startswith(f"{spec.name}.")}
            world.vms[request.id] = Vm(spec.name, request.id, frozenset(made - before))
        self._check()

    @rule()
    def open_requests_go_on(self) -> None:
        """The worker starts again and runs what has not ended."""
        world = self.world
        for entry in world.context.journal.open():
            vm = self._vm_of(entry.request.spec)
            (now,) = world.run(entry.id, removed=vm)
            spec = entry.request.spec
            if isinstance(spec, CloneSpec) and now is not None and now.state is State.DONE:
                files = {path for path in world.ours if Path(path).name.startswith(f"{spec.name}.")}
                world.vms[entry.id] = Vm(spec.name, entry.id, frozenset(files))
            elif entry.request.kind is Kind.REMOVE and vm is not None:
                self._settle(vm, now)
        self._check()

    def _settle(self, vm: Vm, removal: Request | None) -> None:
        """Take note of how far the removal of a vm has come; one whose journal is lost goes on."""
        self.world.vms.pop(vm.request, None)
        self.world.going.pop(vm.request, None)
        if removal is None or not removal.state.ended:
            self.world.going[vm.request] = vm
        elif removal.state is not State.DONE:
            self.world.vms[vm.request] = vm

    def _vm_of(self, spec: object) -> Vm | None:
        known = (*self.world.vms.values(), *self.world.going.values())
        uuids = {vm.uuid: vm for vm in known}
        return uuids.get(spec.uuid) if isinstance(spec, VmSpec) else None

    def _ask(self, kind: Kind, number: int, kill: int) -> None:
        world = self.world
        vm = list(world.vms.values())[number % len(world.vms)]
        request = world.request(kind, VmSpec(name=vm.name, uuid=vm.uuid, host=HOST))
        before = set(world.files())
        world.kill_in = kill
        (now,) = world.run(request.id, removed=vm if kind is Kind.REMOVE else None)
        if kind is Kind.REMOVE:
            if now is not None and now.state is State.FAILED and before - set(world.files()):
                raise Violation(f"the removal of {vm.name} was refused, and took files away")
            self._settle(vm, now)
        self._check()

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, kill=KILLS)
    def remove(self, number: int, kill: int) -> None:
        self._ask(Kind.REMOVE, number, kill)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, kill=KILLS)
    def flatten(self, number: int, kill: int) -> None:
        self._ask(Kind.FLATTEN, number, kill)

    @rule(kind=st.sampled_from([Kind.PREPARE, Kind.RELEASE]), kill=KILLS)
    def about_the_image(self, kind: Kind, kill: int) -> None:
        request = self.world.request(kind, ImageSpec(IMAGE, HOST))
        self.world.kill_in = kill
        self.world.run(request.id)
        self._check()

    def _check(self) -> None:
        self.world.check_names()
        self.world.check_vms()

    # --- the admin

    def _file(self, number: int) -> Path | None:
        """Choose a file in the pools, rather one of Maglica's."""
        files = sorted(self.world.ours) or sorted(
            path for path in self.world.files() if "/pools/" in path
        )
        return Path(files[number % len(files)]) if files else None

    def _elsewhere(self, name: str) -> Path:
        return self.world.folder / "elsewhere" / f"{next(self._numbers)}-{name}"

    @rule(number=choices, new_name=st.sampled_from(["same", "alike", "base", "other"]))
    def copy_a_file(self, number: int, new_name: str) -> None:
        path = self._file(number)
        if path is not None:
            count = next(self._numbers)
            target = {
                "same": self._elsewhere(path.name),
                "alike": path.with_name(f"copy{count}.{path.name.partition('.')[2]}"),
                "base": path.with_name(f"maglica-base.0123456789ab.{count:08x}.vda.qcow2"),
                "other": path.with_name(f"copy{count}"),
            }[new_name]
            self._copy(path, target)
        self.world.look_around()

    def _copy(self, source: Path, target: Path) -> None:
        command = ["cp", "--sparse=always", "--no-dereference", str(source), str(target)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            target.unlink(missing_ok=True)

    @rule(number=choices)
    def move_a_file_away(self, number: int) -> None:
        path = self._file(number)
        if path is not None:
            target = self._elsewhere(path.name)
            # On another file system a move is a copy.
            shutil.move(path, target)
            self.moved[target] = path
        self.world.look_around()

    @precondition(lambda self: self.moved)
    @rule(number=choices)
    def bring_a_file_back(self, number: int) -> None:
        source = list(self.moved)[number % len(self.moved)]
        target = self.moved.pop(source)
        if target.parent.is_dir() and not target.exists() and source.exists():
            self._move_back(source, target)
        self.world.look_around()

    def _move_back(self, source: Path, target: Path) -> None:
        try:
            source.rename(target)
        except OSError:
            # Another file system, or a full one.
            self._copy(source, target)

    @rule(number=choices)
    def keep_a_backup_and_restore_it_later(self, number: int) -> None:
        """A copy that is put back in its place, be the vm there still or not."""
        path = self._file(number)
        if path is not None:
            backup = self._elsewhere(path.name)
            self._copy(path, backup)
            if backup.exists():
                self.moved[backup] = path
        self.world.look_around()

    @rule(pool=pools, rebased=st.booleans())
    def rename_the_folder_of_a_pool(self, pool: str, rebased: bool) -> None:
        """Define the pool anew at the new place, and let its overlays and domains follow."""
        world = self.world
        handle = self._pool(pool)
        old = world.pool(pool)
        new = world.folder / "pools" / f"{pool}-{next(self._numbers)}"
        if handle is None or not old.is_dir() or pool in self.mounted or pool == "small":
            return
        if handle.isActive():
            handle.destroy()
        handle.undefine()
        old.rename(new)
        world.define_pool(pool, new)
        if rebased:
            self._follow(old, new)
        self.folders.append((pool, old, new))
        world.look_around()

    @precondition(lambda self: self.folders)
    @rule(rebased=st.booleans())
    def bring_the_folder_back(self, rebased: bool) -> None:
        pool, old, new = self.folders.pop()
        handle = self._pool(pool)
        if handle is not None and new.is_dir() and not old.exists():
            if handle.isActive():
                handle.destroy()
            handle.undefine()
            new.rename(old)
            self.world.define_pool(pool, old)
            if rebased:
                self._follow(new, old)
        self.world.look_around()

    def _follow(self, before: Path, now: Path) -> None:
        for path in [*now.iterdir(), *self.world.pool("small").iterdir()]:
            words = ["qemu-img", "info", "-U", "--output=json", str(path)]
            found = subprocess.run(words, check=False, capture_output=True, text=True).stdout
            if f"{before}/" in found:
                backing = json.loads(found)["backing-filename"]
                moved = backing.replace(f"{before}/", f"{now}/")
                words = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", moved]
                subprocess.run([*words, str(path)], check=False, capture_output=True)
        for domain in self.world.connection.listAllDomains():
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            metadata = xml[xml.find("<metadata>") : xml.find("</metadata>")] or "<none/>"
            moved = xml.replace(f"{before}/", f"{now}/")
            changed = metadata.replace(f"{before}/", f"{now}/")
            if moved != xml:
                # An admin's edit changes the disks; the metadata stays as it was.
                self.world.connection.defineXML(moved.replace(changed, metadata))

    @rule(pool=pools)
    def rename_a_pool(self, pool: str) -> None:
        """The folder stays, the name is another; or back again."""
        world = self.world
        handle = self._pool(pool)
        other = self._pool(f"{pool}-renamed")
        for pool_handle, name in ((handle, f"{pool}-renamed"), (other, pool)):
            if pool_handle is not None:
                path = pool_handle.XMLDesc().split("<path>")[1].split("</path>")[0]
                if pool_handle.isActive():
                    pool_handle.destroy()
                pool_handle.undefine()
                self._try(lambda: world.define_pool(name, Path(path)))  # noqa: B023 - runs now
                break
        world.look_around()

    def _pool(self, name: str) -> libvirt.virStoragePool | None:
        for pool in self.world.connection.listAllStoragePools():
            if pool.name() == name:
                return pool
        return None

    @rule(pool=pools)
    def stop_or_start_a_pool(self, pool: str) -> None:
        handle = self._pool(pool)
        if handle is not None:
            self._try(handle.destroy if handle.isActive() else handle.create)
        self.world.look_around()

    @rule(pool=pools)
    def hide_a_pool_by_a_mount(self, pool: str) -> None:
        path = self.world.pool(pool)
        if path.is_dir():
            if pool in self.mounted:
                unmount(path)
                self.mounted.remove(pool)
            else:
                mount(path, 4)
                self.mounted.add(pool)
        self.world.look_around()

    @rule()
    def fill_or_free_the_small_pool(self) -> None:
        if self.filled:
            self.filled.pop().unlink(missing_ok=True)
        else:
            path = self.world.pool("small") / f"filler{next(self._numbers)}"
            size = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
            if size:
                with path.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
                self.filled.append(path)
        self.world.look_around()

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

    def _try(self, act: Callable[[], object]) -> None:
        """Do what libvirt may refuse, as for a disk that is away."""
        try:
            act()
        except libvirt.libvirtError:
            return

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
