# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches an appliance's QEMU while libguestfs's calls block: its launch, and its writes.

When a host's disk is full, QEMU stops the virtual machine and libguestfs waits for ever; when a
write fails otherwise, the guest's kernel may keep it to itself. QEMU tells of both on its monitor
(docs/interop/qemu-qmp-ref: BLOCK_IO_ERROR). An appliance that lost a write is ended at once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...model.errors import MaglicaError, NoRoom, StorageFailed
from ...system import log_fields, processes

# An appliance under emulation takes 13 s on an idle core, and its first one is built before.
LAUNCH_SECONDS = 240.0
_PAUSE = 0.05
_DEVICE = re.compile(r"hd([0-9]{1,3})")
# guestfs(3), get_sockdir: always below /tmp for root.
_SOCKETS = re.compile(r"/tmp/libguestfs[A-Za-z0-9]{6}(?=/)")  # noqa: S108 - it is there
_CREDENTIALS = struct.Struct("3i")
_MAX_LINE = 1 << 20

log = logging.getLogger(__name__)


class Watch:
    """Watches one appliance with disks at ``paths``; ``failure`` is the write that ended it,
    ``unread`` the first read that failed.

    ``options`` are QEMU's, for guestfs's ``config``.
    """

    def __init__(self, paths: Sequence[str], folder: Path) -> None:
        self.failure: MaglicaError | None = None
        self.unread: StorageFailed | None = None
        self._paths = paths
        self._folder = folder
        self._socket = folder / "qmp"
        self._deadline = time.monotonic() + LAUNCH_SECONDS
        self._launched = threading.Event()
        self._over = threading.Event()
        self._others = set(processes.children())
        self._pid = 0
        self._thread = threading.Thread(
            target=log_fields.kept(self._run), daemon=True, name="watch"
        )

    @property
    def options(self) -> tuple[str, str]:
        path = str(self._socket).replace(",", ",,")
        return "-qmp", f"unix:{path},server=on,wait=off"

    def start(self) -> None:
        self._thread.start()

    def launched(self) -> None:
        """Take note that the launch is over."""
        self._launched.set()

    def stop(self) -> None:
        """Wait until all is heard that QEMU, which has ended, has said."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with contextlib.closing(self._connect()) as monitor:
                self._note_sockets()
                for event in self._events(monitor):
                    if event.get("event") == "BLOCK_IO_ERROR":
                        self._failed(event["data"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if not self._over.is_set():
                log.warning("an appliance's QEMU can't be watched: %s", error)

    def _connect(self) -> socket.socket:
        monitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        monitor.settimeout(_PAUSE)
        while True:
            try:
                monitor.connect(str(self._socket))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if self._over.wait(_PAUSE):
                    raise
                self._check_launch()
        found = monitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self._pid = _CREDENTIALS.unpack(found)[0]
        monitor.sendall(b'{"execute": "qmp_capabilities"}\n')
        return monitor

    def _events(self, monitor: socket.socket) -> Iterator[dict[str, Any]]:
        rest = b""
        while True:
            try:
                chunk = monitor.recv(65536)
            except socket.timeout:
                self._check_launch()
                continue
            except ConnectionResetError:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from map(json.loads, lines)
            if not chunk or len(rest) > _MAX_LINE:
                return

    def _check_launch(self) -> None:
        """End a launch that takes too long, whichever program of it hangs."""
        if self._launched.is_set() or time.monotonic() < self._deadline:
            return
        log.warning("ending an appliance that does not start within %g s", LAUNCH_SECONDS)
        self._deadline += LAUNCH_SECONDS
        for pid in set(processes.children()) - self._others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _failed(self, data: dict[str, Any]) -> None:
        is_write = data["operation"] == "write"
        if (self.failure if is_write else self.unread) is not None:
            return
        match = _DEVICE.fullmatch(data.get("device", ""))
        number = int(match[1]) if match else len(self._paths)
        # The appliance's own disk comes last; nobody writes to it.
        path = self._paths[number] if number < len(self._paths) else "its disk"
        reason = data.get("reason", "unknown reason")
        if not is_write:
            # The guest's kernel may read it once more.
            self.unread = StorageFailed(f"{path} can't be read: {reason}")
            log.warning("%s", self.unread)
            return
        kind = NoRoom if data.get("nospace") else StorageFailed
        self.failure = kind(f"{path} can't be written: {reason}")
        log.warning("ending an appliance: %s", self.failure)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def _note_sockets(self) -> None:
        """Leave a link to the folder that libguestfs can't remove itself when it is killed."""
        command = " ".join(processes.arguments(self._pid))
        for path in set(_SOCKETS.findall(command)):
            (self._folder / Path(path).name).symlink_to(path)


@contextlib.contextmanager
def watching(paths: Sequence[str], scratch: str) -> Iterator[Watch]:
    """Watch an appliance during the block, from a folder in ``scratch``.

    Its QEMU has ended when the block ends. Raises StorageFailed.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="appliance.", dir=scratch))
    except OSError as error:
        raise StorageFailed(f"{scratch} can't be used: {error.strerror}") from error
    watch = Watch(paths, folder)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
        shutil.rmtree(folder, ignore_errors=True)
