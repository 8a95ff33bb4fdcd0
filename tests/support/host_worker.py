# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real host worker process, for a real client worker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from maglica.host_worker.journal.journal import Journal
from maglica.model.request import HostStatus, Request
from maglica.wire import keys
from support.client_worker import LOOPBACK, Worker, eventually, is_ready
from support.own_libvirtd import OwnLibvirtd

LIBRARY = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
CHEAP_CLONE = Path(__file__).resolve().parent / "cheap_clone"
POINTS = CHEAP_CLONE.with_name("cloud_points")
HOST = "kvm0.example.jp"


class HostWorker:
    """The host worker's process, its folder with configuration, key, journal, and cheap clones."""

    # Where it reaches the client worker.
    address = LOOPBACK
    # What is planted in its processes.
    planted = CHEAP_CLONE

    def __init__(self, folder: Path, worker: Worker, uri: str, **options: object) -> None:
        self.folder = folder
        self.worker = worker
        folder.mkdir()
        self.keys = keys.make(folder / "host_worker.key")
        self.state = folder / "state"
        self.cheap = folder / "cheap"
        self.points = folder / "points"
        for made in (self.state, *(self.cheap / name for name in ("draft", "made", "stop"))):
            made.mkdir(parents=True, exist_ok=True)
        (self.cheap / "log").touch()
        self.process: subprocess.Popen[bytes] | None = None
        self.options = {
            "name": HOST,
            "secret_key_file": "host_worker.key",
            "state_dir": "state",
            "hello_interval": 0.5,
            "uri": uri,
            **options,
        }
        self.environment: dict[str, str] = {}

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def write_config(self) -> Path:
        where = self.worker.where
        lines = ["[client_worker]", f"address = {self.address}", f"public_key = {where.public_key}"]
        lines += [f"publish_port = {where.publish_port}", f"request_port = {where.request_port}"]
        lines += ["[host_worker]", *(f"{key} = {value}" for key, value in self.options.items())]
        path = self.folder / "maglica.conf"
        path.write_text("\n".join([*lines, ""]))
        return path

    def allow(self) -> None:
        """Give the host's key its role."""
        self.worker.access[self.keys.public.decode()] = f"host {self.options['name']}"
        self.worker.write_access()

    def command(self) -> list[str]:
        worker = [sys.executable, "-m", "maglica.host_worker.main"]
        return [*worker, "--config", str(self.write_config())]

    def start(self) -> None:
        path = [str(self.planted), str(LIBRARY)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(path),
                    "CHEAP_FOLDER": str(self.cheap),
                    **self.environment,
                },
                stdout=log,
                stderr=log,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process with this signal; return its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code

    def restart(self, number: int = signal.SIGTERM) -> None:
        self.stop(number)
        self.start()

    def close(self) -> None:
        for block in (self.cheap / "stop").iterdir():
            block.unlink()
        if self.process is not None:
            self.stop(signal.SIGKILL)
        # Those that a test has stopped don't notice that their worker is gone.
        for process in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        eventually(lambda: not self.children())

    # --- cheap clones

    def block(self, name: str, step: str) -> None:
        """Let the cheap clone of ``name`` wait at a step."""
        (self.cheap / "stop" / f"{name}.{step}").touch()

    def unblock(self, name: str, step: str) -> None:
        (self.cheap / "stop" / f"{name}.{step}").unlink()

    @property
    def made(self) -> list[str]:
        return sorted(path.name for path in (self.cheap / "made").iterdir())

    @property
    def drafts(self) -> list[str]:
        return sorted(path.name for path in (self.cheap / "draft").iterdir())

    @property
    def effects(self) -> list[str]:
        return (self.cheap / "log").read_text().splitlines()

    # --- real work that stops at points (see cloud_points/sitecustomize.py)

    def pass_points(self) -> None:
        """Do real work from the next start on, and pass points."""
        self.planted = POINTS
        self.points.mkdir()
        self.environment["MAGLICA_POINTS"] = str(self.points)

    def stop_at(self, point: str) -> None:
        """Let the next that comes to a point wait there; who waits elsewhere goes on."""
        (self.points / "reached").unlink(missing_ok=True)
        (self.points / "next").write_text(point)
        (self.points / "next").rename(self.points / "stop")

    def reached(self) -> int:
        """Wait for somebody at the point; return who, the number of the process."""
        eventually((self.points / "reached").exists, timeout=60)
        return int((self.points / "reached").read_text())

    def wait_killed(self, process: int) -> None:
        """Wait until somebody who was at a point is gone, and let all others pass it."""
        eventually(lambda: process not in self.children())
        self.stop_at("nowhere")

    # --- looks inside

    def journal(self) -> Journal:
        return Journal(self.state)

    def children(self) -> list[int]:
        """The processes of jobs: those whose arguments name this worker's configuration."""
        mark = str(self.folder / "maglica.conf").encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    arguments = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if mark in arguments and b"maglica.host_worker.job.main" in arguments:
                    found.append(int(entry.name))
        return sorted(found)


class Cell:
    """A client worker, a host worker with its libvirtd, and a client of theirs."""

    def __init__(self, worker: Worker, host: HostWorker, libvirtd: OwnLibvirtd) -> None:
        self.worker = worker
        self.host = host
        self.libvirtd = libvirtd
        self.client = worker.peer("client", "alice")

    def start(self) -> None:
        """Start both workers and wait until the client worker has heard how the host is."""
        self.worker.start()
        self.host.start()
        self.wait_alive()

    def wait_alive(self) -> None:
        eventually(lambda: (status := self.status()) is not None and is_ready(status))

    def status(self) -> HostStatus | None:
        """What the client worker knows of the host."""
        _other, body = self.client.ask("hosts")
        return next(iter(body["hosts"]), None)

    def clone(self, name: str, **fields: object) -> Request:
        return self.client.clone(name, **fields)

    def now(self, request: Request) -> Request:
        """The request as it stands at the client worker."""
        return self.client.request("status", id=request.id)

    def ended(self, request: Request) -> Request:
        """The request when it has ended."""
        return eventually(lambda: (now := self.now(request)).state.ended and now)

    def wait_phase(self, request: Request, phase: str) -> None:
        eventually(lambda: self.now(request).phase == phase)

    def close(self) -> None:
        self.client.disconnect()
