# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells systemd how a worker stands: sd_notify(3), as far as Type=notify and WatchdogSec= need it.

Without systemd (no $NOTIFY_SOCKET) nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket


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
