# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's serial console: libvirt's stream of it, and a terminal.

See "virDomainOpenConsole" of https://libvirt.org/html/libvirt-libvirt-domain.html. Both ends are
waited for at once, by libvirt's own event loop, without which no call says that its host is gone.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..model.errors import HostDown, LibvirtFailed, VmStopped, VmUnknown
from . import uri
from .hosts import HostToRead
from .interrupter import Older
from .session import Options, Session, binding, code, faults, words

# Ctrl-], as telnet and virsh have it.
LEAVE = b"\x1d"
_CHUNK = 16384
# A host that says nothing for so many seconds is asked, and gone after so many questions.
_KEEP_ALIVE = (5, 3)


def attach(
    host: HostToRead,
    vm: tuple[str, str],
    terminal: tuple[int, int],
    *,
    take: bool = False,
    timeout: float = 10.0,
) -> bool:
    """Connect the serial console of a running vm, of which ``vm`` has name and UUID, with a
    terminal, of which ``terminal`` has the descriptors that keys come from and that the guest's
    words go to. Ctrl-] or the end of the keys leaves it.

    Return whether the user has left; False: the guest is off. ``take`` takes it from whoever has
    it. ``timeout``: seconds for opening the connection.

    Raises HostDown, VmUnknown, VmStopped, LibvirtFailed (somebody else has it, or has taken it, or
    there is none).
    """
    name, uuid = vm
    console = f"the serial console of vm {name} on host {host.name}"
    libvirt = binding()
    _have_event_loop()
    with _connected(host, timeout) as connection:
        try:
            domain = connection.lookupByUUIDString(uuid)
        except faults() as error:
            if code(error) == libvirt.VIR_ERR_NO_DOMAIN:
                raise VmUnknown(f"there is no vm {name} on host {host.name}") from None
            raise LibvirtFailed(f"host {host.name}: {words(error)}") from error
        if not domain.isActive():
            raise VmStopped(f"vm {name} on host {host.name} is off: start it first")
        stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        try:
            domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE if take else 0)
        except faults() as error:
            raise LibvirtFailed(f"{console} can't be opened: {words(error)}") from error
        try:
            return _Joint(libvirt, stream, *terminal).run()
        except _cut() as error:
            raise LibvirtFailed(f"{console} was cut off: {words(error)}") from error


@contextmanager
def _connected(host: HostToRead, timeout: float) -> Iterator[Any]:
    session = Session(host, Options(timeout=timeout), Older.now([uri.peer(host.uri)]))
    timer = threading.Timer(timeout, session.expire)
    timer.daemon = True
    timer.start()
    try:
        with session.connected(read_only=False) as connection:
            timer.cancel()
            # Only libvirtd behind a socket has that, and a driver in this process needs none.
            with suppress(binding().libvirtError):
                connection.setKeepAlive(*_KEEP_ALIVE)
            yield connection
    except HostDown as error:
        late = f"no answer within {timeout:g} s" if session.expired else str(error)
        raise HostDown(f"host {host.name}: {late}") from error
    finally:
        timer.cancel()


def _cut() -> tuple[type[Exception], ...]:
    return (OSError, *faults())


@functools.cache
def _have_event_loop() -> None:
    # A connection belongs to it only if it was there before.
    binding().virEventRegisterDefaultImpl()


class _Joint:
    """Passes on what comes from either end until one of them has ended."""

    def __init__(self, libvirt: Any, stream: Any, keys: int, screen: int) -> None:
        self._libvirt = libvirt
        self._stream = stream
        self._keys = keys
        self._screen = screen
        # What the guest has not taken yet; no more keys are read until it has.
        self._typed = b""
        self._left = False
        self._no_more_keys = False
        self._over = False
        self._error: Exception | None = None

    def run(self) -> bool:
        """Return whether the user has left it. Raises what an end failed with."""
        libvirt = self._libvirt
        always = libvirt.VIR_STREAM_EVENT_READABLE
        self._stream.eventAddCallback(always, self._heard, None)
        readable = libvirt.VIR_EVENT_HANDLE_READABLE
        self._watch = libvirt.virEventAddHandle(self._keys, readable, self._pressed, None)
        try:
            while not (self._over or self._left or self._error):
                libvirt.virEventRunDefaultImpl()
        finally:
            libvirt.virEventRemoveHandle(self._watch)
            with suppress(libvirt.libvirtError):
                self._stream.eventRemoveCallback()
            with suppress(libvirt.libvirtError):
                self._stream.abort()
        if self._error is not None:
            raise self._error
        return self._left

    # An exception that leaves one of these would be lost in libvirt's loop.

    def _heard(self, _stream: Any, events: int, _opaque: object) -> None:
        try:
            if events & self._libvirt.VIR_STREAM_EVENT_WRITABLE:
                self._send()
            # The end, and an error, are told by reading.
            if events & ~self._libvirt.VIR_STREAM_EVENT_WRITABLE:
                self._receive()
        except BrokenPipeError:
            self._left = True
        except _cut() as error:
            self._error = error

    def _pressed(self, _watch: int, _descriptor: int, _events: int, _opaque: object) -> None:
        try:
            keys = os.read(self._keys, _CHUNK)
            typed, leaves, _rest = keys.partition(LEAVE)
            self._left = bool(leaves)
            self._no_more_keys = not keys
            self._typed += typed
            self._send()
        except _cut() as error:
            self._error = error

    def _receive(self) -> None:
        said = self._stream.recv(_CHUNK)
        # -2: there is nothing now.
        if said == -2:
            return
        self._over = not said
        while said:
            said = said[os.write(self._screen, said) :]

    def _send(self) -> None:
        if self._typed:
            taken = self._stream.send(self._typed)
            self._typed = self._typed[max(taken, 0) :]
        libvirt = self._libvirt
        wanted = libvirt.VIR_STREAM_EVENT_READABLE
        if self._typed:
            wanted |= libvirt.VIR_STREAM_EVENT_WRITABLE
        self._stream.eventUpdateCallback(wanted)
        waits = bool(self._typed) or self._no_more_keys
        readable = 0 if waits else libvirt.VIR_EVENT_HANDLE_READABLE
        libvirt.virEventUpdateHandle(self._watch, readable)
        if self._no_more_keys and not self._typed:
            self._left = True
