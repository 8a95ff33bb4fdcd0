# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both workers with failpoints, started again whenever they end, as systemd does it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from maglica.config import config
from maglica.model.errors import MaglicaError
from maglica.model.request import Request, Spec, new_request_id
from maglica.wire.client import Client
from maglica.wire.keys import KeyPair
from support import failpoint
from support.client_worker import Worker, eventually
from support.host_worker import CHEAP_CLONE, LIBRARY, HostWorker
from support.own_libvirtd import OwnLibvirtd
from support.reports import report

from . import without

PATIENCE = 60.0
# What a client is told while a worker is not there, or can't write.
PASSING = ("journal_failed", "image_unknown", "host_down", "peer_silent")


def asked(client: Client, call: Callable[[Client], Any]) -> Any:
    """Ask until there is an answer that stands."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call(client)
        except MaglicaError as error:
            if error.code not in PASSING or time.monotonic() > end:
                raise
            time.sleep(0.05)


class Tended:
    """A client worker and a host worker; the failpoints are in the journal ``journal``."""

    def __init__(self, folder: Path, libvirtd: OwnLibvirtd, journal: str, **more: str) -> None:
        folder.mkdir()
        self.worker = Worker(folder)
        self.host = HostWorker(folder / "host", self.worker, libvirtd.uri)
        self.host.allow()
        self._plan = folder / "failpoint"
        self.plan()
        planted = {"FAILPOINT_FILE": str(self._plan), "FAILPOINT_JOURNAL": journal}
        if journal == failpoint.CLIENT:
            self.worker.environment = {"PYTHONPATH": f"{CHEAP_CLONE}:{LIBRARY}", **planted}
        else:
            self.host.environment = planted
        self.host.environment.update(more)
        self._client = Client(config.load(self.worker.library("alice")), 2.0, 30)
        self._over = threading.Event()
        self._turns = {"client": threading.Lock(), "host": threading.Lock()}
        self._tenders = [
            threading.Thread(target=self._tend, args=(name, worker))
            for name, worker in (("client", self.worker), ("host", self.host))
        ]

    def weaken(self, protection: str) -> None:
        """Let the client worker run without this protection."""
        weak = without.command(protection, self.worker.command())
        self.worker.command = lambda *_arguments: weak  # type: ignore[method-assign]

    def start(self) -> None:
        self._client.__enter__()
        for tender in self._tenders:
            tender.start()

    def _tend(self, name: str, worker: Any) -> None:
        while not self._over.wait(0.05):
            with self._turns[name]:
                self._start(worker)

    def _start(self, worker: Any) -> None:
        if worker.process is None or worker.process.poll() is not None:
            # It may die before it is ready, and is started again then.
            with contextlib.suppress(AssertionError):
                worker.start()

    def close(self) -> None:
        self._over.set()
        self._client.__exit__(None, None, None)
        for tender in self._tenders:
            tender.join()
        self.host.close()
        self.worker.close()

    def restart_client(self, meanwhile: Callable[[], None], anew: bool = False) -> None:
        """Stop the client worker, do something, and start it; ``anew``: without its journal."""
        self._restart("client", self.worker, self.worker.folder / "journal.sqlite", meanwhile, anew)

    def restart_host(self, meanwhile: Callable[[], None], anew: bool = False) -> None:
        journal = self.host.state / "host_worker.sqlite"
        self._restart("host", self.host, journal, meanwhile, anew)

    def _restart(
        self, name: str, worker: Any, journal: Path, meanwhile: Callable[[], None], anew: bool
    ) -> None:
        with self._turns[name]:
            worker.stop(signal.SIGKILL)
            if anew:
                for path in journal.parent.glob(f"{journal.name}*"):
                    path.unlink()
            meanwhile()

    # --- failpoints

    def plan(self, *lines: str) -> None:
        draft = self._plan.with_suffix(".new")
        draft.write_text("".join(f"{line}\n" for line in lines))
        draft.replace(self._plan)

    def planned(self) -> bool:
        """Tell whether something that was planned has not happened yet."""
        return self._plan.read_text() != ""

    # --- the library's part

    def ask(self, call: Callable[[Client], Any]) -> Any:
        return asked(self._client, call)

    def submit(self, spec: Spec) -> Request:
        request_id = new_request_id()
        accepted: Request = self.ask(lambda client: client.submit(spec, request_id))
        return accepted

    def ended(self, request_id: str, end: float) -> Request | None:
        """Return the request when it has ended, or None at a time (monotonic seconds)."""
        while time.monotonic() < end:
            request: Request = self.ask(lambda client: client.status(request_id))
            if request.state.ended:
                return request
            time.sleep(0.02)
        return None

    def ghost(self, name: str) -> KeyPair:
        """Let another host, which has no image, say hello, and leave; return its key."""
        ghost = self.worker.host(name)
        # The client worker may have been killed before it answered.
        ghost.patience = 10.0
        while True:
            with contextlib.suppress(AssertionError, TimeoutError):
                ghost.hello(replace(report(), domains=()))
                break
        ghost.disconnect()
        assert ghost.keys is not None
        return ghost.keys

    # --- what came of it

    def left(self, request_ids: Iterable[str]) -> list[str]:
        """Return what is left over of ended requests, or was made twice, or is still untold."""
        journal = self.host.journal()
        try:
            entries = [journal.entry(each) for each in request_ids]
            left = [f"intents of {each}" for each in request_ids if journal.intents(each)]
            left += [f"bases {base.id}" for base in journal.bases()]
        finally:
            journal.close()
        left += [f"untold {entry.id}" for entry in entries if entry and not entry.reported]
        left += [f"draft {name}" for name in self.host.drafts]
        effects = self.host.effects
        for name in {effect.split()[1] for effect in effects}:
            if effects.count(f"made {name}") > 1 + effects.count(f"undone {name}"):
                left.append(f"made twice {name}")
        return left


@contextmanager
def tended(folder: Path, journal: str, protection: str = "", **more: str) -> Iterator[Tended]:
    """Run both workers for the block; ``protection``: what the client worker does without."""
    libvirtd = OwnLibvirtd()
    try:
        libvirtd.start()
        them = Tended(folder, libvirtd, journal, **more)
        if protection:
            them.weaken(protection)
        them.start()
        try:
            eventually(lambda: any(host.alive for host in them.ask(lambda c: c.hosts())), PATIENCE)
            yield them
        finally:
            them.close()
    finally:
        libvirtd.close()
