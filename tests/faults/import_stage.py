# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both workers and a libvirtd with a pool, where images are imported, and what comes of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libvirt
from maglica.config import config
from maglica.domain.definition import describe
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.add_image import AddImageSpec
from maglica.wire.client import Client
from support import qemu_libvirtd
from support.client_worker import Worker, eventually
from support.host_worker import HOST, HostWorker

from .import_site import Source
from .tended import asked

PATIENCE = 120.0
VICTIMS = ("job", "host worker", "client worker")
_POOL = "<pool type='dir'><name>default</name><target><path>{path}</path></target></pool>"
# What a failed import of a file that is right may say, and one of a file that is not.
KILLED = "job_died"
_REFUSED = ("checksum_differs", "download_failed", "checksum_unknown", KILLED)


@dataclass
class Import:
    """An import that was asked for; ``request`` is as it was last seen."""

    image: str
    source: Source
    request: Request
    is_cancelled: bool = False

    @property
    def has_ended(self) -> bool:
        return self.request.state.ended

    @property
    def is_done(self) -> bool:
        return self.request.state is State.DONE

    @property
    def code(self) -> str:
        return self.request.failure.code if self.request.failure else self.request.state.value

    @property
    def end(self) -> str:
        """How it ended, in words."""
        failure = self.request.failure
        phases = " ".join(phase.name for phase in self.request.phases)
        return f"{self.code}{f' ({failure.text})' if failure else ''} after {phases or 'no phase'}"


@dataclass
class Seen:
    """What is on the host that should not be, each named."""

    half_made: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)


class Stage:
    """The workers and the host; ``imports`` are in the order in which they were asked for."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.pool = folder / "pool"
        self.pool.mkdir()
        self.connection = libvirt.open(uri)
        self.connection.storagePoolDefineXML(_POOL.format(path=self.pool)).create()
        self.worker = Worker(folder)
        self.host = HostWorker(folder / "host", self.worker, uri, accel="tcg")
        self.host.allow()
        self.host.pass_points()
        # What is found in a guest is no part of this.
        (self.host.points / "without-appliance").touch()
        self.client = Client(config.load(self.worker.library("alice")), 2.0, 30)
        self.client.__enter__()
        self.imports: list[Import] = []
        self._usual: set[str] = set()

    def start(self) -> None:
        self.worker.start()
        self.host.start()
        eventually(lambda: any(each.alive for each in asked(self.client, Client.hosts)))

    def close(self) -> None:
        self.client.__exit__(None, None, None)
        self.host.close()
        self.worker.close()
        self.connection.close()

    def weaken(self, *flaws: str) -> None:
        """Let jobs that begin from now on do without what protects them; see cloud_points."""
        for flaw in flaws:
            (self.host.points / flaw).touch()

    # --- imports

    def add(self, image: str, source: Source) -> Import:
        """Ask for an image to be as a file on the web is."""
        spec = AddImageSpec(image=image, host=HOST, url=source.url, checksum=source.checksum)
        request_id = new_request_id()
        request = asked(self.client, lambda client: client.submit(spec, request_id))
        self.imports.append(Import(image, source, request))
        return self.imports[-1]

    def cancel(self, one: Import) -> None:
        one.is_cancelled = True
        asked(self.client, lambda client: client.cancel(one.request.id))

    def look(self) -> list[Import]:
        """Look at those imports that have not ended; return those that have not ended now."""
        known = {each.request.id: each for each in self.imports if not each.has_ended}
        if known:
            for request in asked(self.client, lambda client: client.status_all([*known])):
                known[request.id].request = request
        return [each for each in known.values() if not each.has_ended]

    def wait(self, one: Import) -> Import:
        """Wait until an import has ended."""
        eventually(lambda: self.look() is not None and one.has_ended, PATIENCE)
        return one

    def passed(self) -> list[str]:
        """Return the points that were passed so far, each once."""
        return [*dict.fromkeys((self.host.points / "passed").read_text().split())]

    # --- kills

    def kill(self, victim: str, number: int = 0) -> bool:
        """Kill one process, and start it again as systemd does; return whether it was there."""
        if victim == "client worker":
            self.worker.stop(signal.SIGKILL)
            self.worker.start()
        elif victim == "host worker":
            self.host.stop(signal.SIGKILL)
            self.host.start()
        else:
            jobs = self.host.children()
            if not jobs:
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(jobs[number % len(jobs)], signal.SIGKILL)
        return True

    def kill_at(self, victim: str) -> str:
        """Kill somebody when a job has come to the point where it is stopped; return who it was.

        Before there is a job, it is the host worker itself that comes to a point.
        """
        process = self.host.reached()
        is_worker = self.host.process is not None and self.host.process.pid == process
        if is_worker or victim == "host worker":
            victim = "host worker"
            self.host.stop(signal.SIGKILL)
            self.host.wait_killed(process)
            self.host.start()
        elif victim == "job":
            os.kill(process, signal.SIGKILL)
            self.host.wait_killed(process)
        else:
            self.kill(victim)
            self.host.stop_at("nowhere")
        return victim

    # --- what came of it

    def settle(self) -> None:
        """Wait until all imports have ended; take what the host worker keeps then for usual."""
        eventually(lambda: not self.look(), PATIENCE)
        self._usual |= self._kept()

    def seen(self) -> Seen:
        """Look for what should not be there when all imports have ended."""
        found = Seen()
        wanted = {each.image: each.source.file.disk for each in self.imports if each.is_done}
        known = {each.source.file.disk for each in self.imports}
        named = set()
        for domain in self.connection.listAllDomains():
            definition = describe(domain.XMLDesc())
            name = domain.name()
            if definition.image is not None:
                named |= {volume.name for volume in definition.image.volumes}
            disk = self._content(definition.copied_disks)
            if disk != wanted.pop(name, None):
                found.half_made.append(f"{name}: {disk}, asked for: {self._asked_for(name)}")
            if disk not in known:
                found.accepted.append(f"{name}: {disk}")
        found.half_made += [f"{name}: not there" for name in wanted]
        found.accepted += [f"{one.image}" for one in self.imports if one.source.lie and one.is_done]
        found.orphans = self._orphans(named)
        found.unclear = [f"{one.image}: {one.end}" for one in self.imports if not self._clear(one)]
        return found

    def _asked_for(self, image: str) -> str:
        """Say what was asked for of an image, and how that ended."""
        asked_for = [each for each in self.imports if each.image == image]
        return ", ".join(f"{one.source.file.disk[:12]} {one.end}" for one in asked_for)

    def _clear(self, one: Import) -> bool:
        """Tell whether an import ended as it should, or because each of its jobs was killed."""
        if one.is_cancelled and one.request.state is State.CANCELLED:
            return True
        return one.code in _REFUSED if one.source.lie else one.code in ("done", KILLED)

    def _content(self, disks: tuple[object, ...]) -> str:
        """Return the SHA-256 of a domain's disk; of what can't be read, why not."""
        paths = [disk.source for disk in disks]  # type: ignore[attr-defined]
        if len(paths) != 1 or paths[0] is None:
            return f"{len(paths)} disks"
        raw = self.folder / "look.raw"
        words = ["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", paths[0], str(raw)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.stderr or hashlib.sha256(raw.read_bytes()).hexdigest()

    def _orphans(self, named: set[str]) -> list[str]:
        journal = self.host.journal()
        named = named | {disk.name for base in journal.bases() for disk in base.disks}
        intents = [f"intent {each.kind.value} {each.data}" for each in journal.announced()]
        unready = [f"base {base.id}: {base.state}" for base in journal.bases() if not _ready(base)]
        journal.close()
        files = {path.name for path in self.pool.iterdir()} - named
        return [*sorted(files), *sorted(self._kept() - self._usual), *intents, *unready]

    def _kept(self) -> set[str]:
        """Return the files of the host worker, but for its journal's own and empty locks."""
        files = (path for path in self.host.state.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.host.state))
            for path in files
            if not path.name.startswith("host_worker.sqlite") and path.stat().st_size
        }


def _ready(base: object) -> bool:
    return base.state == "ready"  # type: ignore[attr-defined]


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Have a stage with all that it needs during the block; ``folder`` has a short path."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        uri = stack.enter_context(qemu_libvirtd.running(folder / "libvirtd"))
        stage = Stage(folder, uri)
        stack.callback(stage.close)
        stage.start()
        yield stage
