# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the loopback interface for tests, of which several processes run side by side."""

from __future__ import annotations

import contextlib
import functools
import itertools
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
# Below the kernel's own range (ip_local_port_range): a port that the kernel gives could be given
# to somebody else before it is used.
_FIRST, _RANGES, _EACH = 20000, 24, 500


def free_port() -> int:
    """Return a port on which nobody listens, and that no other process of tests is given."""
    while True:
        port = next(_own())
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK, port)):
            return port


@functools.cache
def _own() -> Iterator[int]:
    """Return the ports of a range that is this process's alone for as long as it lives."""
    for number in range(_RANGES):
        # An abstract socket is the lock: it ends with the process, and is one of the network
        # namespace, as ports are.
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0maglica-test-ports-{number}")
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        first = _FIRST + number * _EACH
        return itertools.cycle(range(first, first + _EACH))
    raise RuntimeError(f"{_RANGES} processes of tests run on this machine: no ports are left")


_locks: list[socket.socket] = []
