# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real libvirtd and real files on which Maglica's jobs and an admin work in turn.

Only libguestfs and ssh-keygen are fakes: foreign_fakes.py. Whose a file is, the world knows by
having seen who made it: a file that a job made is Maglica's while it is at the path where it was
made.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import libvirt
from maglica.config.config import HostWorker
from maglica.disk import volumes
from maglica.domain import definition
from maglica.host_worker.daemon.report import Inspector
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.journal.journal import Journal
from maglica.host_worker.ownership import leftovers
from maglica.model.request import Request, new_request_id
from maglica.model.vm import vm_uuid
from support import qemu_libvirtd

HOST = "kvm0.example.jp"
IMAGE = "debian.original"
POOLS = ("fast", "small")
SMALL_MIB = 80
_WRITES = ("intend", "forget", "add_base", "update_base", "remove_base", "end")
_NAMED = re.compile(r"""(?:file|dev|path)=(?:'([^']+)'|"([^"]+)")""")
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)


class Violation(AssertionError):
    """Something was hurt, or is left without a name."""


class Killed(BaseException):
    """The job's process is gone: nothing that would clean up runs."""


@dataclass
class Vm:
    """A vm that a request made; ``files`` are those that the job left for it."""

    name: str
    request: str
    files: frozenset[str]

    @property
    def uuid(self) -> str:
        return vm_uuid(self.request)


@dataclass
class World:
    """The host. ``ours`` are Maglica's files by path, each with the identity of its inode.

    ``theirs`` are the digests of all others. ``hidden`` are identities of Maglica's files that the
    admin has moved or hidden, by the path where each was made. ``going`` are the vms whose removal
    has begun and not ended. ``detours`` are files that a domain needs, and which no
    place of its definition states as such. ``steps`` counts what was done.
    """

    folder: Path
    connection: libvirt.virConnect
    ours: dict[str, tuple[int, int]] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, tuple[int, int]] = field(default_factory=dict)
    vms: dict[str, Vm] = field(default_factory=dict)
    going: dict[str, Vm] = field(default_factory=dict)
    detours: list[tuple[str, str]] = field(default_factory=list)
    # The files of others that a request may take away, by its id.
    lent: dict[str, frozenset[str]] = field(default_factory=dict)
    steps: int = 0
    kill_in: int = 0
    unlucky: bool = False

    def __post_init__(self) -> None:
        for name in ("state", "pools", "elsewhere", "image"):
            (self.folder / name).mkdir(parents=True)
        for name in POOLS:
            (self.pool(name)).mkdir()
            self.define_pool(name, self.pool(name))
        # QEMU's files are sparse, so that a small file system has room for some.
        mount(self.pool("small"), SMALL_MIB)
        self.settings = HostWorker(HOST, Path("/key"), state_dir=self.folder / "state")
        self.context = self.new_context()
        disks = {}
        for target in ("vda", "vdb"):
            path = self.folder / "image" / f"{target}.raw"
            path.write_bytes(os.urandom(4096) * 16)
            disks[target] = ("raw", path)
        self.connection.defineXML(qemu_libvirtd.definition(IMAGE, disks))
        self.look_around()

    def pool(self, name: str) -> Path:
        return self.folder / "pools" / name

    def define_pool(self, name: str, path: Path) -> None:
        xml = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
        self.connection.storagePoolDefineXML(xml).create()

    def new_context(self) -> JobContext:
        """Return what the next job process has; it dies when ``kill_in`` writes are done."""
        journal = Journal(self.folder / "state")
        for name in _WRITES:
            setattr(journal, name, self._mortal(getattr(journal, name)))
        context = JobContext(journal, self.settings, lambda line: None)
        context.connect = lambda: self.connection
        return context

    def _mortal(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*values: Any, **named: Any) -> Any:
            self._die()
            done = write(*values, **named)
            self._die()
            return done

        return written

    def _die(self) -> None:
        if self.kill_in:
            self.kill_in -= 1
            if not self.kill_in:
                raise Killed

    # --- Maglica

    def request(self, spec: Any) -> Request:
        request = Request(new_request_id(), spec, host=HOST, who="alice")
        self.context.journal.accept([request])
        return request

    def run(self, *ids: str, removed: Vm | None = None) -> list[Request | None]:
        """Run a job and look at what it has done; return the requests as they are afterwards.

        ``removed`` is the vm whose files it may take away.
        """
        self.steps += 1
        before = self.files()
        with suppress(Killed):
            main.run(ids, self.context)
        self.kill_in = 0
        self.context.journal.close()
        self.context = self.new_context()
        self._judge(before, removed, {path for each in ids for path in self.lent.get(each, ())})
        entries = [self.context.journal.entry(each) for each in ids]
        return [entry and entry.request for entry in entries]

    def _judge(
        self, before: dict[str, tuple[int, int]], removed: Vm | None, lent: set[str]
    ) -> None:
        after = self.files()
        self._check_theirs(after, lent)
        for path in before.keys() - after.keys():
            if path not in self.ours and path not in lent:
                raise Violation(f"{path}, which Maglica did not make, is gone")
            for vm in (*self.vms.values(), *self.going.values()):
                if path in vm.files and vm is not removed:
                    raise Violation(f"{path} of vm {vm.name} is gone")
        gone = before.keys() - after.keys()
        for path, by in self.referred():
            if path in gone:
                raise Violation(f"{path} is gone, to which {by} refers")
        for path in gone:
            self.ours.pop(path, None)
            self.theirs.pop(path, None)
        # A file that was removed and made again in the same job is another inode.
        made = (path for path in after if path in self.ours or path not in before)
        self.ours.update({path: after[path] for path in made})

    def _check_theirs(self, after: dict[str, tuple[int, int]], lent: set[str]) -> None:
        for path, digest in self.theirs.items():
            if path in lent and path not in after:
                continue
            if path not in after:
                raise Violation(f"{path}, which Maglica did not make, is gone")
            if _digest(path) != digest:
                raise Violation(f"{path}, which Maglica did not make, was changed")

    def referred(self) -> Iterator[tuple[str, str]]:
        """Yield each file that something visible refers to, and what does.

        Visible are definitions, and files in pools or below a domain's disk. A copy that lies
        anywhere else, and that nothing knows of, nobody can look at.
        """
        yield from self.detours
        named = {path for path, _by in self.detours}
        for domain in self.connection.listAllDomains():
            xmls = [domain.XMLDesc(), domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)]
            for xml in xmls:
                for quoted in _NAMED.findall(_METADATA.sub("", xml)):
                    path = os.path.realpath("".join(quoted))
                    named.add(path)
                    yield path, f"domain {domain.name()}"
        folders = self._folders(0)
        todo = named.union(path for path in self.files() if str(Path(path).parent) in folders)
        done: set[str] = set()
        while todo:
            done |= todo
            found = {path: backing for path in todo if (backing := _backing(path))}
            yield from ((backing, path) for path, backing in found.items())
            todo = set(found.values()) - done

    def named_by(self, domain: libvirt.virDomain) -> frozenset[str]:
        """Return the paths of files that a domain's definition names, by whatever link."""
        xml = _METADATA.sub("", domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        named = {Path("".join(quoted)) for quoted in _NAMED.findall(xml)}
        return frozenset(f"{os.path.realpath(each.parent)}/{each.name}" for each in named)

    def check_names(self) -> None:
        """Raise Violation for a file of Maglica's that nothing names.

        What is in use is no leftover: a domain has it, or a file builds upon it.
        """
        inspector = Inspector(self.connection, self.context.journal, self.settings)
        named = {leftover.path for leftover in inspector.report().leftovers}
        named.update(path for path, _by in self.referred())
        named.update(leftovers.announced(self.context.journal))
        bases = set()
        for domain in self.connection.listAllDomains():
            made = definition.describe(domain.XMLDesc()).made
            if made is not None:
                named.update(volume.path for volume in made.volumes)
                bases.add(made.base)
        pools = self._folders(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
        for path in self.ours:
            is_named = path in named or (volumes.base_of(Path(path).name) or "") in bases
            if not is_named and str(Path(path).parent) in pools:
                raise Violation(f"{path} is left, and nothing names it")

    def check_vms(self) -> None:
        """Raise Violation when a vm that no request has removed is not there any more."""
        known = {domain.UUIDString() for domain in self.connection.listAllDomains()}
        for vm in self.vms.values():
            if vm.uuid not in known:
                raise Violation(f"vm {vm.name} is gone")

    def _folders(self, flags: int) -> set[str]:
        pools = self.connection.listAllStoragePools(flags)
        return {re.search(r"<path>(.*)</path>", pool.XMLDesc()).group(1) for pool in pools}

    # --- files

    def files(self) -> dict[str, tuple[int, int]]:
        """Return the files that can be seen, by path, with what identifies each."""
        found = {}
        for name in ("pools", "elsewhere", "image"):
            for folder, _folders, names in os.walk(self.folder / name):
                for each in names:
                    path = f"{folder}/{each}"
                    status = os.lstat(path)
                    found[path] = (status.st_dev, status.st_ino)
        return found

    def look_around(self) -> None:
        """Take note of what the admin did to the files."""
        self.steps += 1
        now = self.files()
        for path, identity in list(self.ours.items()):
            if now.get(path) != identity:
                self.hidden[path] = self.ours.pop(path)
        for path, identity in list(self.hidden.items()):
            if now.get(path) == identity:
                self.ours[path] = self.hidden.pop(path)
        self.theirs = {path: _digest(path) for path in now if path not in self.ours}


def _digest(path: str) -> str:
    if Path(path).is_symlink():
        return str(Path(path).readlink())
    content = hashlib.sha256()
    with Path(path).open("rb") as file:
        # The files are sparse and small: their first MiB tells.
        content.update(file.read(1 << 20))
    return f"{Path(path).stat().st_size} {content.hexdigest()}"


def _backing(path: str) -> str | None:
    """Read from a qcow2 header what a file builds upon: docs/interop/qcow2.rst of QEMU."""
    with suppress(OSError), Path(path).open("rb") as file:
        head = file.read(20)
        if head[:4] == b"QFI\xfb":
            offset, length = struct.unpack(">QI", head[8:20])
            if offset:
                file.seek(offset)
                name = file.read(length).decode(errors="surrogateescape")
                return os.path.realpath(Path(path).parent / name)
    return None


def mount(path: Path, mib: int) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "maglica-test", str(path)]
    subprocess.run(command, check=True)


def unmount(path: Path) -> None:
    subprocess.run(["umount", "-l", str(path)], check=True)


def tear_down(world: World) -> None:
    """Remove the world: domains, pools, mounts and files."""
    connection = world.connection
    for domain in connection.listAllDomains():
        flags = libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(flags | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    for pool in connection.listAllStoragePools():
        if pool.isActive():
            pool.destroy()
        pool.undefine()
    world.context.journal.close()
    mounted = [
        line.split(" ")[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split(" ")[4].startswith(f"{world.folder}/")
    ]
    for place in sorted(mounted, key=len, reverse=True):
        unmount(Path(place))
    shutil.rmtree(world.folder)
