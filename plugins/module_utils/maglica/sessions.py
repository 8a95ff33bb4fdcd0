# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt connections to many hosts at once, each with a deadline that really ends it.

``each`` runs one function for each host, in a thread of its own: libvirt-python releases the GIL
while it waits. When a host's time is over, the sockets or processes that its thread waits for are
ended (interrupter.py), so that neither thread, process nor descriptor stays behind.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from . import _deps, libvirt_uri
from .errors import HostDown, LibvirtFailed, MaglicaError
from .fleet_values import HostEntry, Unreachable
from .interrupter import Interrupter, Older

T = TypeVar("T")
Item = TypeVar("Item")

# libvirtd works on so many requests of one client at once: max_client_requests in libvirtd.conf.
CALLS_AT_ONCE = 5
# How long an interrupted thread may take to notice it, and how often it is interrupted again (it
# may just then open its next socket).
_GRACE = 2.0
_AGAIN = 0.02

_log = logging.getLogger(__name__)
_silenced = threading.Lock()


@dataclass(frozen=True)
class Options:
    """How to connect. ``timeout`` is in seconds for each host, all its calls together.

    ``parallel``: hosts at once, 0 for all. ``auth_file``: see libvirt_uri.for_unattended_use.
    """

    timeout: float = 10.0
    parallel: int = 0
    auth_file: str | None = None


class Session:
    """What a function that runs for a host gets: its connection, until the deadline."""

    def __init__(self, host: HostEntry, options: Options, older: Older) -> None:
        self.host = host
        self.options = options
        self._older = older
        self.deadline = time.monotonic() + options.timeout
        self._peer = libvirt_uri.peer(host.uri)
        self._interrupters: list[Interrupter] = []
        self._expired = threading.Event()

    def remaining(self) -> float:
        """Return the seconds until the deadline, never less than 0."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise HostDown when the deadline has passed."""
        if self._expired.is_set() or not self.remaining():
            raise HostDown(f"no answer within {self.options.timeout:g} s")

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the deadline."""
        self._expired.wait(min(seconds, self.remaining()))

    @contextlib.contextmanager
    def connected(self, read_only: bool = True) -> Iterator[Any]:
        """Open a connection (a ``virConnect``) and close it at the end.

        A second one may be opened while the first is: then an interruption is for the second.

        Raises HostDown when there is none to be had before the deadline.
        """
        libvirt = _libvirt()
        older = Older.now() if self._interrupters else self._older
        interrupter = Interrupter(self._peer, older)
        try:
            interrupter.resolve()
            self.check()
            self._interrupters.append(interrupter)
            connection = self._open(libvirt, read_only)
        except (OSError, libvirt.libvirtError) as error:
            raise HostDown(_words(error)) from error
        try:
            yield connection
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()
            self._interrupters.remove(interrupter)

    def _open(self, libvirt: Any, read_only: bool) -> Any:
        uri = libvirt_uri.for_unattended_use(self.host.uri, self.options.auth_file)
        return libvirt.openReadOnly(uri) if read_only else libvirt.open(uri)

    def aside(self, function: Callable[[], T], patience: float) -> T:
        """Return what ``function`` does, run in a thread; give it ``patience`` seconds.

        Then the connection that was opened last is ended, no longer of use, and TimeoutError is
        raised.
        """
        outcome: list[T | Exception] = []

        def run() -> None:
            try:
                outcome.append(function())
            except Exception as error:  # noqa: BLE001 - raised again in the calling thread
                outcome.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(min(patience, self.remaining()))
        if thread.is_alive():
            until = time.monotonic() + _GRACE
            while thread.is_alive() and time.monotonic() < until:
                self._interrupters[-1].interrupt()
                thread.join(_AGAIN)
            self.check()
            raise TimeoutError
        result = outcome[0]
        if isinstance(result, Exception):
            del result
            _raise_only(outcome)
        return result

    def map(self, function: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """Return ``function`` of each item, in order; as many at once as libvirtd serves.

        The first error ends it and is raised.
        """
        work = list(enumerate(items))
        results: dict[int, T] = {}
        errors: list[Exception] = []
        todo = iter(work)
        lock = threading.Lock()

        def run() -> None:
            while not errors:
                with lock:
                    index, item = next(todo, (-1, None))
                if item is None:
                    return
                try:
                    self.check()
                    results[index] = function(item)
                except Exception as error:  # noqa: BLE001 - raised again in the calling thread
                    errors.append(error)

        threads = [
            threading.Thread(target=run, daemon=True)
            for _thread in range(min(CALLS_AT_ONCE, len(work)) - 1)
        ]
        for thread in threads:
            thread.start()
        run()
        for thread in threads:
            thread.join()
        if errors:
            _raise_only(errors)
        return [results[index] for index, _item in work]

    def expire(self) -> None:
        """End what the session waits for, now and for what it would begin later."""
        self._expired.set()
        for interrupter in tuple(self._interrupters):
            interrupter.interrupt()

    @property
    def expired(self) -> bool:
        return self._expired.is_set()


@dataclass(eq=False)
class _Run(Generic[T]):
    """A host's thread and what came of it."""

    session: Session
    thread: threading.Thread | None = None
    result: T | None = None
    error: Exception | None = None


def each(
    hosts: Sequence[HostEntry], work: Callable[[Session], T], options: Options
) -> tuple[dict[str, T], tuple[Unreachable, ...]]:
    """Run ``work`` for each host at once; return the results by host, and who gave none and why.

    Takes at most ``options.timeout`` (for each wave of ``options.parallel`` hosts) and a moment.
    Raises what ``work`` raises, except errors of the library and of libvirt: they make the host
    unreachable.
    """
    _libvirt()
    waiting = deque(hosts)
    running: list[_Run[T]] = []
    ended: list[_Run[T]] = []
    finished: queue.SimpleQueue[_Run[T]] = queue.SimpleQueue()
    older = Older.now()
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


def one(host: HostEntry, work: Callable[[Session], T], options: Options) -> T:
    """Run ``work`` for one host; like ``each``, but what makes a host unreachable is raised.

    Raises HostDown.
    """
    results, unreachable = each([host], work, options)
    for missing in unreachable:
        raise HostDown(f"host {missing.host}: {missing.text}")
    return results[host.name]


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
    until = time.monotonic() + _GRACE
    for run in expired:
        while run.thread and run.thread.is_alive() and time.monotonic() < until:
            run.thread.join(_AGAIN)
            run.session.expire()
        if run.thread and run.thread.is_alive():
            _log.warning("host %s: its thread can't be ended", run.session.host.name)


def _sort(ended: Sequence[_Run[T]]) -> tuple[dict[str, T], tuple[Unreachable, ...]]:
    libvirt = _libvirt()
    results: dict[str, T] = {}
    unreachable = []
    for run in ended:
        host = run.session.host.name
        if run.session.expired:
            text = f"no answer within {run.session.options.timeout:g} s"
            unreachable.append(Unreachable(host, text))
        elif isinstance(run.error, (MaglicaError, libvirt.libvirtError)):
            unreachable.append(Unreachable(host, _words(run.error)))
        elif run.error is not None:
            raise run.error
        else:
            results[host] = run.result  # type: ignore[assignment]
    return results, tuple(sorted(unreachable, key=lambda entry: entry.host))


def _raise_only(errors: list[Any]) -> NoReturn:
    """Raise the first of ``errors`` and empty the list.

    An error knows the frames that it passed. Where one of these knows the error in turn, it and
    its domains live on until the garbage collector comes by, and their connection with them.
    """
    try:
        raise errors[0]
    finally:
        errors.clear()


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _libvirt() -> Any:
    """Return the binding, with its habit of printing each error to stderr switched off."""
    libvirt = _deps.need("libvirt")
    with _silenced:
        libvirt.registerErrorHandler(_ignore, None)
    return libvirt


def _ignore(_context: object, _error: object) -> None:
    """libvirt's errors are raised too; nothing else needs them."""


def failed(act: str, host: str, error: Exception) -> LibvirtFailed:
    """Return the error that says that libvirt refused ``act`` on ``host``."""
    return LibvirtFailed(f"cannot {act} on host {host}: {_words(error)}")
