# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is given to work with: the journal, the settings, libvirt, and a way to report.

The agreement between the job's process and what it runs:

- Clones run as ``clone.run(requests, context)``, the other verbs as ``run(request, context)``. Each
  request ends in ``context.done`` or ``context.failed``, once.
- A side effect is announced by ``context.journal.intend`` before it begins. ``undo.undo(request_id,
  context)`` takes back what is announced, may be run again at any time, and forgets the intents.
- Before a request that ran before is run again, its job calls ``undo.undo``, unless the domain
  ``model.vm_uuid(request.id)`` carries the request's metadata: a domain is defined after all else
  is done, so that ``clone.run`` has only to go on with start.
- A verb that is finished once it has begun (``Interrupted.FINISHED``) is run again instead.
- ``context.failed`` with intents left (because undo failed too) does not end the request: it
  stays open, and its next job only undoes it, or goes on with the removal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from ...config.config import HostWorker
from ...libvirtd import local
from ...model.errors import MaglicaError
from ...model.request import Failure, Phase, Request, State
from ...model.text import told
from ...model.vm import Domain
from ...system import memory
from .. import channel
from ..journal.journal import Journal

# A connection that worked as recently is taken to work still.
_TRUST_SECONDS = 1.0
_KEYS = "keys"
# Each count that is told is a commit of the client worker.
COUNT_SECONDS = 1.0


class JobContext:
    """What one job process has; ``say`` sends a line to the worker.

    ``settings`` is the configuration's [host_worker] section; ``host`` is this host's name.
    """

    def __init__(
        self, journal: Journal, settings: HostWorker, say: Callable[[channel.Said], None]
    ) -> None:
        self.journal = journal
        self.settings = settings
        # Since the job that runs now has begun.
        self.kills = memory.Kills()
        self._say = say
        self._connection: Any = None
        self._alive_at = 0.0
        self._phases: dict[str, list[Phase]] = {}
        self._counted_at: dict[str, float] = {}

    @property
    def host(self) -> str:
        return self.settings.name

    def connect(self) -> Any:
        """Return the connection to libvirtd (virConnect), opened when first asked for and kept.

        Raises HostDown.
        """
        now = time.monotonic()
        if self._connection is None or now - self._alive_at > _TRUST_SECONDS:
            if self._connection is None or not local.is_alive(self._connection):
                self._connection = local.connect(self.settings.uri, self.host)
            self._alive_at = now
        return self._connection

    @contextmanager
    def phase(
        self, request_ids: str | Sequence[str], name: str, spent: float = 0.0
    ) -> Iterator[None]:
        """Name the work of the block, for one request or several at once, and measure it.

        The phase is journaled with the request's end, if the block ends without an error. ``spent``
        are seconds that it has taken before, since ``begin``.
        """
        ids = [request_ids] if isinstance(request_ids, str) else list(request_ids)
        self.begin(ids, name)
        begun = time.monotonic() - spent
        yield
        seconds = round(time.monotonic() - begun, 3)
        for request_id in ids:
            self.measured(request_id, name, seconds)

    def begin(self, request_ids: Sequence[str], name: str) -> None:
        """Tell that a phase of these requests begins."""
        for request_id in request_ids:
            self._say(channel.Begun(request_id, name))

    def measured(self, request_id: str, name: str, seconds: float) -> None:
        """Note a phase that is over."""
        self._phases.setdefault(request_id, []).append(Phase(name, seconds))
        self._say(channel.Over(request_id, name, seconds))

    def counted(self, request_id: str, name: str, done: int, total: int) -> None:
        """Tell how much of a phase is over, in bytes or steps, and with that that it goes on."""
        now = time.monotonic()
        if now - self._counted_at.get(request_id, -math.inf) < COUNT_SECONDS:
            self.alive()
            return
        self._counted_at[request_id] = now
        self._say(channel.Counted(request_id, name, done, total))

    def alive(self) -> None:
        """Tell the worker that a long step goes on; silence is taken for a hung job."""
        self._say(channel.Alive())

    def done(self, request: Request, vm: Domain | None = None) -> None:
        """Commit that a request is done; its intents are forgotten with that."""
        self._end(request, State.DONE, vm=vm)

    def failed(self, request: Request, error: MaglicaError) -> None:
        """Commit that a request failed; with intents left it ends when they are undone."""
        failure = failure_of(error)
        told_more = told(f"{failure.text}{self.kills.told()}")
        self._end(request, State.FAILED, failure=replace(failure, text=told_more))

    def undone(self, request: Request, ending: State) -> None:
        """Commit that a request that is undone has ended as it was to."""
        self._end(request, ending)

    def _end(
        self,
        request: Request,
        state: State,
        failure: Failure | None = None,
        vm: Domain | None = None,
    ) -> None:
        phases = self._phases.pop(request.id, ())
        self._counted_at.pop(request.id, None)
        if self.journal.end(request.id, state, failure=failure, vm=vm, phases=phases):
            self._say(channel.Ended(request.id, state))


def failure_of(error: MaglicaError) -> Failure:
    """Return what the client is told of an error: one printable line of bounded length."""
    return Failure(error.code, told(error))


def key_folder(context: JobContext, request_id: str) -> Path:
    """Return the folder in which the SSH host keys of a request's vm are made."""
    return Path(context.settings.state_dir) / _KEYS / request_id
