# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status that the command ends with. Scripts rely on it: no number gets another meaning."""

from __future__ import annotations

import enum

from ..model.errors import MaglicaError


class Exit(enum.IntEnum):
    """What became of what was asked for."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NO_ANSWER = 5
    NOT_OVER = 6
    WRONG = 7
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "done, also where there was nothing to do",
    Exit.FAILED: "it was tried and has failed, or was cancelled",
    Exit.USAGE: "the command line, a value or the configuration is wrong, or a package is missing",
    Exit.NOT_FOUND: "there is no vm, image, request, host, pool or network of that name",
    Exit.REFUSED: "it may not be done: what is there is in the way, or the key has no right to it",
    Exit.NO_ANSWER: "the client worker or a host does not answer",
    Exit.NOT_OVER: "the time to wait is over; the request goes on",
    Exit.WRONG: "nothing failed, but something of the cloud is wrong (maglica status)",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; a request goes on",
}

# By the code of the error.
_STATUS = {
    **dict.fromkeys(("config_invalid", "dependency_missing", "name_invalid"), Exit.USAGE),
    **dict.fromkeys(
        (
            *("image_unknown", "host_unknown", "network_unknown"),
            *("pool_unknown", "vm_unknown", "request_unknown"),
        ),
        Exit.NOT_FOUND,
    ),
    **dict.fromkeys(
        (
            *("name_taken", "image_running", "image_unsupported", "disk_size_unsupported"),
            "network_unsupported",
            *("vm_stopped", "vm_protected", "uuid_twice", "guest_unreadable", "guest_unsupported"),
            *("not_own", "request_conflict", "again_refused", "access_denied", "limit_exceeded"),
            "not_confirmed",
        ),
        Exit.REFUSED,
    ),
    **dict.fromkeys(("host_down", "not_ready", "peer_silent"), Exit.NO_ANSWER),
    "request_timeout": Exit.NOT_OVER,
    **dict.fromkeys(
        (
            *("error", "libvirt_failed", "storage_failed", "request_cancelled", "job_died"),
            *("message_invalid", "download_failed", "checksum_unknown", "checksum_differs"),
            *("journal_failed", "no_room", "version_too_old"),
        ),
        Exit.FAILED,
    ),
}


def of(error: MaglicaError) -> Exit:
    """Return the status that an error ends the command with."""
    return _STATUS[error.code]


def told() -> str:
    """Return the table, as --help shows it."""
    lines = (f"  {status.value:<4d}{meaning}\n" for status, meaning in MEANINGS.items())
    return "exit status:\n" + "".join(lines)
