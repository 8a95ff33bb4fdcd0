# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's child processes, each with one job at a time.

A child that has ended its job waits a while for the next one, because its start and its connection
to libvirtd cost more than most jobs. No call here waits for a child.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ...model.errors import MessageInvalid
from ...system import memory, processes
from ...system.log_fields import about
from .. import channel
from . import job_folders
from .scheduler import Job

_log = logging.getLogger(__name__)

MAX_IDLE = 2
# A child is replaced now and then, so that no library's leak grows for ever.
MAX_JOBS = 500
# Less than this is what an idle appliance and its clock move anyway.
MOVING_BYTES = 1 << 20
_RUN = Path(__file__).resolve().parents[2] / "run.py"


class Child:
    """One child process. ``heard`` is when it last said something or was seen to move bytes.

    ``stopped`` says why the worker killed it, ``crash`` what it said of its own end, ``blocked``
    what keeps it from working at all (a journal that can't be written). ``is_to_blame`` is false
    when it was killed for a reason that its job has not given. ``folder`` is removed with it.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder
        self.job: Job | None = None
        self.jobs = 0
        self.heard = time.monotonic()
        self.stopped: str | None = None
        self.crash: str | None = None
        self.blocked: str | None = None
        self.is_to_blame = True
        self._kills = memory.Kills()
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._looked = self.heard
        self._moved = 0

    @property
    def descriptor(self) -> int:
        """What becomes readable when the child has said something."""
        pipe = self.process.stdout
        return pipe.fileno() if pipe else -1

    def said(self) -> Iterator[channel.Said]:
        """Yield what the child has said since the last call; one that says anything else ends.

        What nobody has taken, because the journal failed at something before it, comes the next
        time.
        """
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(self.descriptor, channel.MAX_LINE)
            self.heard = time.monotonic()
        *whole, self._rest = self._rest.split(b"\n")
        if len(self._rest) > channel.MAX_LINE:
            whole.append(self._rest)
        self._lines += whole
        try:
            while self._lines:
                yield channel.said(self._lines.popleft())
        except MessageInvalid as error:
            self._lines.clear()
            why = f"it said what no job says: {error}"
            with about(*(self.job.ids if self.job else ())):
                _log.error("a child is ended: %s", why)
            self.kill(why, blame=True)

    def give(self, job: Job) -> None:
        """Let an idle child run a job."""
        self.job = job
        self.jobs += 1
        self._kills = memory.Kills()
        self.heard = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            # It waits with its pipe empty, and a job's line is shorter than a pipe.
            os.write(self._stdin(), channel.line(channel.Run(job.ids)))

    def look(self, now: float, pause: float) -> None:
        """See whether a child that is silent moves bytes; look again after ``pause`` seconds.

        Time on the CPU would not tell a long copy from what hangs: an appliance whose kernel spins
        has plenty of it.
        """
        if now - max(self.heard, self._looked) < pause:
            return
        self._looked = now
        moved = processes.moved_bytes(self.process.pid)
        if abs(moved - self._moved) >= MOVING_BYTES:
            self.heard = now
        self._moved = moved

    def kill(self, why: str, *, blame: bool = False) -> None:
        """End the child and every program that it has started."""
        if self.stopped is None:
            self.stopped = why
            self.is_to_blame = blame
        # Of one that is gone the number may be somebody else's by now.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def cause(self) -> str:
        """Say in a few words why it ended."""
        code = self.process.returncode
        if self.stopped or self.crash:
            return self.stopped or self.crash or ""
        if code is None or code == 0:
            return "it ended"
        # The guard passes on an end by signal as the signal's negative number, in 8 bits.
        number = -code if code < 0 else 256 - code
        with contextlib.suppress(ValueError):
            why = self._kills.told() if number == signal.SIGKILL else ""
            return f"signal {signal.Signals(number).name}{why}"
        return f"exit status {code}"

    def _stdin(self) -> int:
        pipe = self.process.stdin
        return pipe.fileno() if pipe else -1

    def close(self) -> None:
        """Remove what is left of a child that has ended."""
        job_folders.remove(self._folder)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


class Children:
    """All children of a worker; ``config_path`` is the file that they read too.

    ``state_dir`` is where each gets a folder for what it needs for a while.
    """

    def __init__(self, config_path: Path, state_dir: Path) -> None:
        self._config_path = config_path
        self._state_dir = state_dir
        job_folders.sweep(state_dir)
        self._all: list[Child] = []
        # Every child's guard holds the reading end: it closes when this process is gone, however.
        self._life, self._own_end = os.pipe()

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._all))

    @property
    def busy(self) -> list[Child]:
        return [child for child in self._all if child.job is not None]

    @property
    def jobs(self) -> list[Job]:
        """The jobs that are running."""
        return [child.job for child in self._all if child.job is not None]

    def running(self, request_id: str) -> Child | None:
        """Return the child whose job has that request."""
        for child in self.busy:
            if child.job and request_id in child.job.ids:
                return child
        return None

    def start(self, job: Job) -> bool:
        """Run a job, in a child that is idle or in a new one; return whether that went well."""
        child = next(iter(self._idle()), None) or self.prepare()
        if child is None:
            return False
        child.give(job)
        return True

    def prepare(self) -> Child | None:
        """Have one more child ready; None (and logged) if no process can be started."""
        try:
            return self._spawn()
        except OSError as error:
            _log.error("cannot start a child: %s", error)
            return None

    def _idle(self) -> list[Child]:
        return [child for child in self._all if child.job is None and child.stopped is None]

    def _spawn(self) -> Child:
        folder = job_folders.make(self._state_dir)
        try:
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                [
                    *(sys.executable, str(_RUN), "maglica.host_worker.job.main"),
                    *("--config", str(self._config_path), "--life", str(self._life)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self._life],
                env={**os.environ, **job_folders.environment(folder)},
                start_new_session=True,
            )
        except OSError:
            job_folders.remove(folder)
            raise
        child = Child(process, folder)
        os.set_blocking(child.descriptor, False)
        self._all.append(child)
        return child

    def retire(self) -> None:
        """Let idle children go that are too many or too old."""
        for number, child in enumerate(self._idle()):
            if number >= MAX_IDLE or child.jobs >= MAX_JOBS:
                child.kill("not needed any more")

    def reap(self) -> Iterator[Child]:
        """Yield the children that have ended since the last call; nothing of them is left."""
        for child in tuple(self._all):
            pid = child.process.pid
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            if os.waitid(os.P_PID, pid, options) is None:
                continue
            # Before its number is free for others, end what it has started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            child.process.wait()
            self._all.remove(child)
            yield child

    def close(self) -> None:
        """End all children, whatever they do, and wait for that."""
        os.close(self._own_end)
        os.close(self._life)
        for child in self._all:
            child.kill("the worker ends")
            child.process.wait()
            child.close()
        self._all.clear()
