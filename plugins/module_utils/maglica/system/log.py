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
    in_journal = _is_journal(_STDERR)
    lines: logging.Handler = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_OneLine(who, with_priority=in_journal))
    handler = Journal(program, who, lines) if in_journal else lines
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _is_journal(descriptor: int) -> bool:
    """Tell whether systemd has connected it to the journal, see systemd.exec(5), $JOURNAL_STREAM.

    The variable alone may be left from whoever started this program by hand.
    """
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Journal(logging.Handler):
    """Sends what has fields to the journal; all else, and what it does not take, to ``lines``."""

    def __init__(self, program: str, who: str, lines: logging.Handler) -> None:
        super().__init__()
        self._program = program
        self._lines = lines
        self._text = _Text(who)
        # A journal that is behind must not hold the service up here.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def emit(self, record: logging.LogRecord) -> None:
        fields = log_fields.current()
        if not fields:
            self._lines.emit(record)
            return
        text = self._text.format(record)
        own = (
            ("MESSAGE", text),
            ("PRIORITY", str(_priority(record))),
            ("SYSLOG_IDENTIFIER", self._program),
        )
        try:
            self._socket.sendto(datagram((*own, *fields)), JOURNAL)
        except OSError:
            self._lines.emit(record)


def datagram(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return an entry of the journal; no value, whatever it holds, can be taken for a field."""
    return b"".join(map(_field, fields))


def _field(field: tuple[str, str]) -> bytes:
    name, value = field[0], one_line(field[1]).encode("utf-8")
    return name.encode("ascii") + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"


def _priority(record: logging.LogRecord) -> int:
    return next(number for level, number in _PRIORITIES if record.levelno >= level)


class _Text(logging.Formatter):
    """A record is one line, whatever peer or guest put in it: control characters are escaped."""

    def __init__(self, who: str) -> None:
        super().__init__(f"{who}: %(message)s" if who else "%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))[:_MAX_TEXT]


class _OneLine(_Text):
    """With what stands before it on stderr."""

    def __init__(self, who: str, *, with_priority: bool) -> None:
        super().__init__(who)
        self._with_priority = with_priority

    def format(self, record: logging.LogRecord) -> str:
        start = f"<{_priority(record)}>" if self._with_priority else f"{record.levelname} "
        return f"{start}{super().format(record)}"
