# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service owes to systemd: its state, by sd_notify(3).

Without systemd (no $NOTIFY_SOCKET) nothing is sent.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time


def notify(*lines: str) -> None:
    """Send assignments such as ``READY=1``; a systemd that does not listen is no error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading @ stands for the NUL of an abstract address.
    name = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.sendto("\n".join(lines).encode("utf-8"), name)


def watchdog_seconds() -> float | None:
    """Return how often ``WATCHDOG=1`` is due, half of what systemd allows; None if never."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    for_this_process = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not microseconds.isdigit() or not for_this_process:
        return None
    return int(microseconds) / 2e6


class Watchdog:
    """Tells systemd that a service's loop still turns, as often as systemd wants to know it.

    Half of what systemd allows is left for what the loop does in a turn. ``longest_wait`` is how
    many seconds it may wait for something to do.
    """

    def __init__(self) -> None:
        due = watchdog_seconds()
        self.longest_wait = math.inf if due is None else due / 2
        self._next = math.inf if due is None else -math.inf

    def turned(self) -> None:
        """To be called once a turn."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self.longest_wait
            notify("WATCHDOG=1")
