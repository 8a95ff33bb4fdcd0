# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an admin does to files and pools of the host on which Maglica works."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import libvirt
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from .foreign_world import POOLS, World, mount, unmount

choices = st.integers(0, 1 << 16)
pools = st.sampled_from(POOLS)


class FileHands(RuleBasedStateMachine):
    """Copies, moves, hides and fills; what libvirt or a full disk refuses is not done."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count()
        self.world: World | None = None
        self.folders: list[tuple[str, Path, Path]] = []
        self.moved: dict[Path, Path] = {}
        self.mounted: set[str] = set()
        self.filled: list[Path] = []

    def _file(self, number: int) -> Path | None:
        """Choose a file in the pools, rather one of Maglica's, and of these rather a vm's."""
        ours = sorted(self.world.ours)
        of_vms = [path for path in ours if "maglica-" not in Path(path).name]
        files = (number % 3 and of_vms) or ours
        files = files or sorted(path for path in self.world.files() if "/pools/" in path)
        return Path(files[number // 3 % len(files)]) if files else None

    def _elsewhere(self, name: str) -> Path:
        return self.world.folder / "elsewhere" / f"{next(self._numbers)}-{name}"

    @rule(number=choices, new_name=st.sampled_from(["alike", "alike", "same", "base", "other"]))
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

    def _try(self, act: Callable[[], object]) -> None:
        """Do what libvirt may refuse, as for a disk that is away."""
        try:
            act()
        except libvirt.libvirtError:
            return
