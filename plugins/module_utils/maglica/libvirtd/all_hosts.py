# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt connections to many hosts at once, each with a deadline that really ends it.

``each`` runs one function for each host, in a thread of its own: libvirt-python releases the GIL
while it waits. When a host's time is over, the sockets or processes that its thread waits for are
ended (interrupter.py), so that neither thread, process nor descriptor stays behind; without /proc
they are left to themselves.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..model.errors import ConfigInvalid, HostDown, MaglicaError
from . import uri
from .hosts import HostToRead, Unreachable
from .interrupter import Older, grace
from .session import AGAIN, Options, Session, binding, words

T = TypeVar("T")

# Seconds. What is longer, a thread can't wait for.
_LONGEST = 1e8

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Run(Generic[T]):
    """A host's thread and what came of it."""

    session: Session
    thread: threading.Thread | None = None
    result: T | None = None
    error: Exception | None = None


def each(
    hosts: Sequence[HostToRead], work: Callable[[Session], T], options: Options
) -> tuple[dict[str, T], tuple[Unreachable, ...]]:
    """Run ``work`` for each host at once; return the results by host, and who gave none and why.

    Takes at most ``options.timeout`` (for each wave of ``options.parallel`` hosts) and a moment.
    Raises ConfigInvalid for hosts or options that can't be, and an error of this library's that
    ``work`` raises. But HostDown makes the host unreachable, and so does every other error: one
    host that answers nonsense costs itself.
    """
    binding()
    _check(hosts, options)
    waiting = deque(hosts)
    running: list[_Run[T]] = []
    ended: list[_Run[T]] = []
    finished: queue.SimpleQueue[_Run[T]] = queue.SimpleQueue()
    older = Older.now([uri.peer(host.uri) for host in hosts])
    while waiting or running:
        while waiting and (not options.parallel or len(running) < options.parallel):
            running.append(_start(Session(waiting.popleft(), options, older), work, finished))
        with contextlib.suppress(queue.Empty):
            run = finished.get(timeout=min(each_run.session.remaining() for each_run in running))
            # One that ended just after its time was over has been moved already.
            if run in running:
                running.remove(run)
                ended.append(run)
        for run in [run for run in running if not run.session.remaining()]:
            running.remove(run)
            ended.append(run)
            run.session.expire()
    _end([run for run in ended if run.session.expired])
    return _sort(ended)


def one(host: HostToRead, work: Callable[[Session], T], options: Options) -> T:
    """Run ``work`` for one host; like ``each``, but what makes a host unreachable is raised.

    Raises HostDown.
    """
    results, unreachable = each([host], work, options)
    for missing in unreachable:
        raise HostDown(f"host {missing.host}: {missing.text}")
    return results[host.name]


def _check(hosts: Sequence[HostToRead], options: Options) -> None:
    if not 0 < options.timeout < _LONGEST:
        raise ConfigInvalid(
            f"host_timeout {options.timeout:g} is not more than 0 seconds, or more than years"
        )
    if options.parallel < 0:
        raise ConfigInvalid(f"parallel {options.parallel} is less than 0")
    if options.auth_file:
        try:
            Path(options.auth_file).read_bytes()
        except OSError as error:
            raise ConfigInvalid(f"cannot read {options.auth_file}: {error.strerror}") from error
    for name, count in Counter(host.name for host in hosts).items():
        if count > 1:
            raise ConfigInvalid(f"host {name} is there twice")


def _start(
    session: Session, work: Callable[[Session], T], finished: queue.SimpleQueue[_Run[T]]
) -> _Run[T]:
    run: _Run[T] = _Run(session)

    def body() -> None:
        try:
            run.result = work(run.session)
        except Exception as error:  # noqa: BLE001 - sorted and raised again in the calling thread
            run.error = error
        finished.put(run)

    # A daemon: a thread that hangs in the resolver, which nothing can end, must not keep the
    # process from its exit.
    run.thread = threading.Thread(target=body, daemon=True, name=f"maglica {session.host.name}")
    run.thread.start()
    return run


def _end(expired: Sequence[_Run[Any]]) -> None:
    until = time.monotonic() + grace()
    for run in expired if grace() else ():
        while run.thread and run.thread.is_alive() and time.monotonic() < until:
            run.thread.join(AGAIN)
            run.session.expire()
        if run.thread and run.thread.is_alive():
            _log.warning("host %s: its thread can't be ended", run.session.host.name)


def _sort(ended: Sequence[_Run[T]]) -> tuple[dict[str, T], tuple[Unreachable, ...]]:
    libvirt = binding()
    results: dict[str, T] = {}
    unreachable = []
    for run in ended:
        host = run.session.host.name
        # An error knows the frames that know the run: without this, neither goes, nor their
        # connections, until the garbage collector comes by.
        error, run.error = run.error, None
        if run.session.expired:
            text = f"no answer within {run.session.options.timeout:g} s"
            unreachable.append(Unreachable(host, text))
        elif isinstance(error, (HostDown, libvirt.libvirtError)):
            unreachable.append(Unreachable(host, words(error)))
        elif isinstance(error, MaglicaError):
            raise error
        elif error is not None:
            kind = type(error).__name__
            text = f"its answer can't be understood: {kind}: {words(error)}"
            unreachable.append(Unreachable(host, text))
        else:
            results[host] = run.result  # type: ignore[assignment]
    return results, tuple(sorted(unreachable, key=lambda entry: entry.host))
