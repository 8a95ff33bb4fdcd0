# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service's log: on stderr, and under systemd in its journal.

What is about a request or a host (log_fields.py) goes to the journal by its own protocol
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL), which has fields. All else goes by stderr, as in
sd-daemon(3): of a line there systemd knows which unit's it is, also when its process is gone at
once. The protocol is so little that the package python3-systemd, which a Python of one's own does
not see, is not worth being needed.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable

from ..model.text import one_line
from . import log_fields

JOURNAL = "/run/systemd/journal/socket"
# All fields of a line have to fit in one datagram, of some 200 KiB.
_MAX_TEXT = 16 << 10
_STDERR = 2
# syslog(3): err, warning, info, debug.
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


def start(program: str, level: int = logging.INFO, who: str = "") -> None:
    """Log one line a record; ``program`` is its SYSLOG_IDENTIFIER, ``who`` stands before each text.

    Where stderr is not the journal it is plain text.
    """
    handler: logging.Handler
    if _is_journal(_STDERR):
        handler = Journal(program)
        handler.setFormatter(_OneLine(who))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_OneLine(who, with_level=True))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _is_journal(descriptor: int) -> bool:
    """Tell whether systemd has connected it to the journal, see systemd.exec(5), $JOURNAL_STREAM.

    The variable alone may be left from whoever started this program by hand.
    """
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Journal(logging.Handler):
    """Sends what has fields to the journal by its protocol; all else, and all if that is gone, by
    stderr.

    A journal that is stuck must not hold the service up until its watchdog ends it: what it does
    not take at once is dropped, and the next line that it takes says how many were.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program
        self._dropped = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._stderr = select.poll()
        self._stderr.register(_STDERR, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if self._dropped:
                text += f" (after {self._dropped} lines that the journal did not take)"
            self._dropped = 0 if self._is_taken(record, text) else self._dropped + 1
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            # It is not the caller's: a log must not end what it tells of.
            self.handleError(record)

    def _is_taken(self, record: logging.LogRecord, text: str) -> bool:
        priority, fields = str(_priority(record)), log_fields.current()
        if fields:
            own = (
                ("MESSAGE", text),
                ("PRIORITY", priority),
                ("SYSLOG_IDENTIFIER", self._program),
            )
            try:
                self._socket.sendto(datagram((*own, *fields)), JOURNAL)
                return True
            except BlockingIOError:
                return False
            except OSError:
                # It is gone, and stderr may be kept for the next one.
                pass
        # Where a socket can be written to at all, there is room for more than the longest line.
        if not self._stderr.poll(0):
            return False
        sys.stderr.write(f"<{priority}>{text}\n")
        sys.stderr.flush()
        return True


def datagram(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return an entry of the journal; no value, whatever it holds, can be taken for a field."""
    return b"".join(map(_field, fields))


def _field(field: tuple[str, str]) -> bytes:
    name, value = field[0], one_line(field[1]).encode("utf-8")
    return name.encode("ascii") + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"


def _priority(record: logging.LogRecord) -> int:
    return next(number for level, number in _PRIORITIES if record.levelno >= level)


class _OneLine(logging.Formatter):
    """A record is one line, whatever peer or guest put in it: control characters are escaped."""

    def __init__(self, who: str, *, with_level: bool = False) -> None:
        super().__init__(f"{who}: %(message)s" if who else "%(message)s")
        self._with_level = with_level

    def format(self, record: logging.LogRecord) -> str:
        text = one_line(super().format(record))[:_MAX_TEXT]
        return f"{record.levelname} {text}" if self._with_level else text
