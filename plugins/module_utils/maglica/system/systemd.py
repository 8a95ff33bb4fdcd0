# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service owes to systemd: its state by sd_notify(3), its log on stderr by sd-daemon(3).

Without systemd (no $NOTIFY_SOCKET, no $JOURNAL_STREAM) nothing is sent, and the log is plain text.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import sys
import time

from ..model.text import one_line


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


def log_to_stderr(level: int = logging.INFO, who: str = "") -> None:
    """Log one line a record to stderr; ``who`` stands before each text.

    Under systemd each line begins with its priority, which the journal takes off again.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(who, in_journal="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _OneLine(logging.Formatter):
    """A record is one line, whatever peer or guest put in it: control characters are escaped."""

    # syslog(3): err, warning, info, debug.
    _PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def __init__(self, who: str, *, in_journal: bool) -> None:
        super().__init__(f"{who}: %(message)s" if who else "%(message)s")
        self._in_journal = in_journal

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{self._start(record)}{one_line(text)}"

    def _start(self, record: logging.LogRecord) -> str:
        if not self._in_journal:
            return f"{record.levelname} "
        found = [number for level, number in self._PRIORITIES if record.levelno >= level]
        return f"<{found[0] if found else 7}>"
