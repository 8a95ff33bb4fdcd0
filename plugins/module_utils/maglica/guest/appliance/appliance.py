# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The libguestfs appliance: a small virtual machine that has guests' disks attached and opens them.

A guest's file system is parsed by the appliance's kernel, never by the host's. All guests in one
appliance are clones of one base, so that none can reach what it did not have before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Callable

from ..._deps import need
from ...model.errors import GuestUnreadable, GuestUnsupported, MaglicaError, StorageFailed
from ...system import log_fields
from ...system.programs import address_space
from ..facts import Mount
from ..filesystem import ROOT, ApplianceDied, Kind, NoVerdict, Owner, few
from .watch import Watch, watching

# What was written may be as much as a guest's journal, on a slow disk.
SHUTDOWN_SECONDS = 120
MAX_DRIVES = 250  # libguestfs: 255, less the appliance's own
# What QEMU needs of address space, and for each disk with its tables, in bytes. A disk that a
# stranger made could have it take all memory there is.
_SPACE, _DRIVE_SPACE = 8 << 30, 256 << 20
_MOUNT_OPTIONS = "nodev,nosuid,noexec"
# Files are exchanged in messages of at most 4 MiB (guestfs(3), "PROTOCOL LIMITS").
_CHUNK = 2 * 1024 * 1024
_PARTITION = re.compile(r"/dev/sd([a-z]+)(\d*)")
_MAY_PASS = re.compile(r"Input/output error|No such (file|device)|does not exist")
_GONE = ("No such file or directory", "Not a directory")
_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drive:
    """A disk as a file on this host, with its format stated."""

    path: str
    format: str


class Appliance:
    """A running appliance: libguestfs's ``handle`` (guestfs(3)), its QEMU, and who watches that."""

    def __init__(self, handle: Any, pid: int, watch: Watch) -> None:
        self.handle = handle
        self._pid = pid
        self._watch = watch

    @property
    def failure(self) -> MaglicaError | None:
        """The write to a disk that failed and ended the appliance, if one did."""
        return self._watch.failure

    @property
    def unread(self) -> StorageFailed | None:
        """The first read of a disk that failed; all are known when the appliance has stopped."""
        return self._watch.unread

    @contextmanager
    def mounted(self, mounts: Sequence[Mount], seconds: float) -> Iterator[GuestfsFilesystem]:
        """Mount a guest's file systems for the block.

        What was written is sure to be on the disk when the appliance has stopped without an error:
        a flush for each guest would take longer than all its edits. The appliance is ended when
        the block takes more than ``seconds``. Raises GuestUnreadable when the file systems can't
        be mounted or unmounted, ApplianceDied when the appliance is no more.
        """
        with self.within(seconds):
            with self.asking("mount its file systems"):
                for mount in mounts:
                    self.handle.mount_options(_MOUNT_OPTIONS, mount.device, mount.mountpoint)
            try:
                yield GuestfsFilesystem(self)
            finally:
                if self.is_alive():
                    with self.asking("unmount its file systems"):
                        self.handle.umount_all()

    @contextmanager
    def asking(self, act: str) -> Iterator[None]:
        """Turn libguestfs's errors into GuestUnreadable ("cannot ACT"), or ApplianceDied; NoVerdict
        where the disk could not be read, or its device was not there.

        A name that its binding can't take or hand over is GuestUnsupported.
        """
        try:
            yield
        except UnicodeDecodeError as error:
            raise GuestUnsupported(f"cannot {act}: it has a name that is not UTF-8") from error
        except ValueError as error:
            raise GuestUnsupported(f"cannot {act}: no file can have that name") from error
        except RuntimeError as error:
            if not self.is_alive():
                raise ApplianceDied(f"cannot {act}: the appliance ended: {error}") from error
            kind = NoVerdict if _MAY_PASS.search(str(error)) else GuestUnreadable
            raise kind(f"cannot {act}: {error}") from error

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End the appliance when the block takes longer: a hostile disk can make it hang."""
        timer = threading.Timer(seconds, log_fields.kept(self._kill))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def is_alive(self) -> bool:
        return bool(self.handle.is_ready())

    def _kill(self) -> None:
        # The handle can't be asked: it is locked by the call that hangs.
        log.warning("ending an appliance that takes too long")
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)


@contextmanager
def launched(drives: Sequence[Drive], use_kvm: bool) -> Iterator[Appliance]:
    """Start an appliance with these disks attached, for writing, and stop it after the block.

    Raises ApplianceDied when it does not start, NoRoom or StorageFailed when a write to a disk
    failed, which is found out at the latest when it is stopped.
    """
    handle = need("guestfs").GuestFS(python_return_dict=True)
    with ExitStack() as stack:
        paths = [drive.path for drive in drives]
        watch = stack.enter_context(watching(paths, handle.get_tmpdir()))
        # Before the watch ends, for it waits for the end of QEMU.
        stack.callback(handle.close)
        handle.set_backend("direct")
        handle.set_backend_settings([] if use_kvm else ["force_tcg"])
        try:
            _launch(handle, drives, watch)
            appliance = Appliance(handle, handle.get_pid(), watch)
            yield appliance
            if appliance.is_alive():
                act = "write back what was changed on its disks"
                with appliance.within(SHUTDOWN_SECONDS), appliance.asking(act):
                    handle.shutdown()
                watch.stop()
                if watch.failure is not None:
                    raise watch.failure
        except MaglicaError as error:
            if watch.failure in (None, error):
                raise
            raise watch.failure from error


@contextmanager
def launched_to_read(drives: Sequence[Drive], use_kvm: bool) -> Iterator[Appliance]:
    """Start an appliance as ``launched`` does, to find out something that holds for good.

    Raises StorageFailed, after the block, where a disk could not be read: nothing that was found
    is sure then.
    """
    appliance = None
    try:
        with ExitStack() as stack:
            appliance = stack.enter_context(launched(drives, use_kvm))
            yield appliance
    except (GuestUnreadable, GuestUnsupported) as error:
        if appliance is None or appliance.unread is None:
            raise
        raise appliance.unread from error
    if appliance.unread is not None:
        raise appliance.unread


def _launch(handle: Any, drives: Sequence[Drive], watch: Watch) -> None:
    begun = time.monotonic()
    try:
        for drive in drives:
            handle.add_drive_opts(drive.path, format=drive.format, readonly=False)
        handle.config(*watch.options)
        with address_space(_SPACE + len(drives) * _DRIVE_SPACE):
            handle.launch()
    except RuntimeError as error:
        seconds = time.monotonic() - begun
        text = f"libguestfs can't start its appliance, after {seconds:.0f} s: {error}"
        raise ApplianceDied(text) from error
    watch.launched()
    seconds = time.monotonic() - begun
    log.info("appliance launched: drives=%d seconds=%.1f", len(drives), seconds)


def moved(mounts: Sequence[Mount], first_drive: int) -> tuple[Mount, ...]:
    """Return the mounts of a guest whose first disk is drive number ``first_drive``, from 0."""
    return tuple(Mount(mount.mountpoint, _moved(mount.device, first_drive)) for mount in mounts)


def _moved(device: str, first_drive: int) -> str:
    match = _PARTITION.fullmatch(device)
    if first_drive == 0 or match is None:
        return device
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return f"/dev/sd{_letters(number - 1 + first_drive)}{match[2]}"


def _letters(number: int) -> str:
    """Return the kernel's letters for a SCSI disk: a … z, aa, ab …"""
    number, last = divmod(number, 26)
    return (_letters(number - 1) if number else "") + chr(ord("a") + last)


class GuestfsFilesystem:
    """A guest's mounted file systems in an appliance; implements ``filesystem.Filesystem``.

    libguestfs's daemon changes its root to the guest for each of these calls, so that symbolic
    links lead nowhere else.
    """

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._handle = appliance.handle

    def kind(self, path: str) -> Kind:
        found = self._stat(self._handle.lstatns, path)
        return (
            Kind.ABSENT if found is None else _KINDS.get(stat.S_IFMT(found["st_mode"]), Kind.OTHER)
        )

    def read(self, path: str, limit: int) -> bytes | None:
        found = self._stat(self._handle.statns, path)
        if found is None:
            return None
        if not stat.S_ISREG(found["st_mode"]):
            raise GuestUnsupported(f"{path} in the guest is not a plain file")
        if found["st_size"] > limit:
            raise GuestUnsupported(f"{path} in the guest is longer than {limit} bytes")
        content = b""
        with self._appliance.asking(f"read {path} in the guest"):
            while len(content) < found["st_size"]:
                chunk = self._handle.pread(path, _CHUNK, len(content))
                if not chunk:
                    break
                content += chunk
        return content

    def inode(self, path: str) -> int:
        """Return the number of a file's inode."""
        with self._appliance.asking(f"look at {path} in the guest"):
            return int(self._handle.lstatns(path)["st_ino"])

    def mode(self, path: str) -> int:
        with self._appliance.asking(f"look at {path} in the guest"):
            return stat.S_IMODE(self._handle.lstatns(path)["st_mode"]) & 0o777

    def create(self, path: str, content: bytes, mode: int, owner: Owner = ROOT) -> None:
        kind = self.kind(path)
        if kind in (Kind.DIRECTORY, Kind.OTHER):
            raise GuestUnsupported(f"{path} in the guest is not a plain file")
        with self._appliance.asking(f"write {path} in the guest"):
            if kind is not Kind.ABSENT:
                self._handle.rm(path)
            self._handle.write(path, content)
            self._handle.chmod(mode, path)
            if owner != ROOT:
                self._handle.lchown(*owner, path)

    def fill(self, path: str, content: bytes) -> None:
        with self._appliance.asking(f"write {path} in the guest"):
            self._handle.write(path, content)

    def make_directory(self, path: str, mode: int, owner: Owner = ROOT) -> None:
        with self._appliance.asking(f"make {path} in the guest"):
            self._handle.mkdir_p(path)
            self._handle.chmod(mode, path)
            if owner != ROOT:
                self._handle.lchown(*owner, path)

    def remove(self, path: str) -> None:
        kind = self.kind(path)
        if kind is Kind.DIRECTORY:
            raise GuestUnsupported(f"{path} in the guest is a directory")
        if kind is not Kind.ABSENT:
            with self._appliance.asking(f"remove {path} in the guest"):
                self._handle.rm(path)

    def glob(self, pattern: str) -> tuple[str, ...]:
        with self._appliance.asking(f"list {pattern} in the guest"):
            return few(pattern, self._handle.glob_expand(pattern, directoryslash=False))

    def _stat(self, call: Callable[[str], dict[str, int]], path: str) -> dict[str, int] | None:
        with self._appliance.asking(f"look at {path} in the guest"):
            try:
                return call(path)
            except RuntimeError as error:
                # The binding has no errno; the daemon's texts are those of the C locale.
                if str(error).endswith(_GONE):
                    return None
                raise
