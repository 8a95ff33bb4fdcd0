# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's libvirt connections until a deadline, and several calls on one of them at once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from .. import _deps
from ..model.errors import HostDown
from ..model.text import short
from . import uri as libvirt_uri
from .certificates import explained
from .hosts import HostToRead
from .interrupter import Interrupter, Older, grace

T = TypeVar("T")
Item = TypeVar("Item")

# libvirtd works on five requests of one client at once (max_client_requests in libvirtd.conf), and
# writes a warning to its log when a client makes use of that.
CALLS_AT_ONCE = 4
# How often, in seconds, an interrupted thread is interrupted again: it may just then open its next
# socket.
AGAIN = 0.02
# So many things that could not be read on a host are told one by one, and so much of an error.
_PROBLEMS = 20
_WORDS = 400

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

    def __init__(self, host: HostToRead, options: Options, older: Older) -> None:
        self.host = host
        self.options = options
        self._older = older
        self.deadline = time.monotonic() + options.timeout
        self._peer = libvirt_uri.peer(host.uri)
        self._interrupters: list[Interrupter] = []
        self._by_connection: dict[int, Interrupter] = {}
        self._opening = threading.Lock()
        self._expired = threading.Event()
        self._problems: list[str] = []

    def remaining(self) -> float:
        """Return the seconds until the deadline, never less than 0."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise HostDown when the deadline has passed."""
        if self._expired.is_set() or not self.remaining():
            raise HostDown(f"no answer within {self.options.timeout:g} s")

    def excuse(self, connection: Any, what: str, error: Exception) -> bool:
        """Note that ``what`` could not be read because of ``error``, which is one of ``faults``.

        Return False when that is because ``connection`` is lost: then nothing else can be read.
        """
        if not connection.isAlive():
            return False
        self.note(f"cannot read {what} of host {self.host.name}: {words(error)}")
        return True

    def note(self, problem: str) -> None:
        """Note what could not be read, where the rest is read all the same."""
        self._problems.append(problem)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was noted, so much of it as anybody wants to read, sorted."""
        told = sorted(self._problems)
        if len(told) <= _PROBLEMS:
            return tuple(told)
        more = len(told) - _PROBLEMS
        return (*told[:_PROBLEMS], f"host {self.host.name} has {more} more problems of this kind")

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the deadline."""
        self._expired.wait(min(seconds, self.remaining()))

    @contextlib.contextmanager
    def connected(self, read_only: bool = True) -> Iterator[Any]:
        """Open a connection (a ``virConnect``) and close it at the end; there may be several.

        Raises HostDown when there is none to be had before the deadline.
        """
        libvirt = binding()
        # One after the other: that tells whose socket is whose.
        with self._opening:
            interrupter, connection = self._connect(libvirt, read_only)
        self._by_connection[id(connection)] = interrupter
        try:
            yield connection
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()
            del self._by_connection[id(connection)]
            self._interrupters.remove(interrupter)

    def _connect(self, libvirt: Any, read_only: bool) -> tuple[Interrupter, Any]:
        is_first = not self._interrupters
        interrupter = Interrupter(self._peer, self._older if is_first else Older.now([self._peer]))
        try:
            interrupter.resolve()
        except (OSError, UnicodeError) as error:
            # A name with a label that is empty or too long is none that can be looked up.
            cause = getattr(error, "strerror", None) or words(error)
            raise HostDown(f"cannot resolve {self._peer.host}: {cause}") from error
        self.check()
        self._interrupters.append(interrupter)
        try:
            connection = self._open(libvirt, read_only)
        except faults() as error:
            self._interrupters.remove(interrupter)
            raise HostDown(explained(self.host.uri, words(error))) from error
        if not is_first:
            interrupter.pin()
        return interrupter, connection

    def _open(self, libvirt: Any, read_only: bool) -> Any:
        uri = libvirt_uri.for_unattended_use(self.host.uri, self.options.auth_file)
        # libvirt offers SASL only to those who could be asked, although its file has the answers.
        kinds = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]
        flags = libvirt.VIR_CONNECT_RO if read_only else 0
        return libvirt.openAuth(uri, [kinds, _know_nothing, None], flags)

    def aside(self, connection: Any, function: Callable[[], T], patience: float) -> T:
        """Return what ``function`` does, run in a thread; give it ``patience`` seconds.

        Then ``connection``, which it uses, is ended, no longer of use, and TimeoutError is raised.
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
            until = time.monotonic() + grace()
            while thread.is_alive() and time.monotonic() < until:
                self._by_connection[id(connection)].interrupt()
                thread.join(AGAIN)
            outcome.clear()
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
                    place = next(todo, None)
                if place is None:
                    return
                try:
                    self.check()
                    results[place[0]] = function(place[1])
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


def words(error: Exception) -> str:
    """Return an error's text as one line, which is not too long to be shown."""
    return short(" ".join(str(error).split()) or type(error).__name__, _WORDS)


def faults() -> tuple[type[Exception], ...]:
    """Return what is raised where one thing can't be read: libvirt's own error, and what comes of
    an answer that is none, such as text that is not UTF-8 or a value of another type.
    """
    error = _deps.need("libvirt").libvirtError
    return (error, LookupError, SystemError, TypeError, ValueError)


def code(error: Exception) -> int | None:
    """Return libvirt's number of an error of libvirt's own, None for others."""
    found = getattr(error, "get_error_code", None)
    return found() if found else None


def binding() -> Any:
    """Return the binding, with its habit of printing each error to stderr switched off."""
    libvirt = _deps.need("libvirt")
    with _silenced:
        libvirt.registerErrorHandler(_ignore, None)
    return libvirt


def _know_nothing(_credentials: object, _context: object) -> int:
    """Refuse to answer for what the file with the credentials does not have."""
    return -1


def _ignore(_context: object, _error: object) -> None:
    """libvirt's errors are raised too; nothing else needs them."""


def _raise_only(errors: list[Any]) -> NoReturn:
    """Raise the first of ``errors`` and empty the list.

    An error knows the frames that it passed. Where one of these knows the error in turn, it and
    its domains live on until the garbage collector comes by, and their connection with them.
    """
    try:
        raise errors[0]
    finally:
        errors.clear()
