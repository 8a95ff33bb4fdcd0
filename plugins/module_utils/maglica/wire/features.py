# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be said beside the fields that every peer knows, to those that have named it.

So a field can be added without a new version of the protocol: each side names the features that it
knows in its first message, and sends optional fields to nobody who did not name theirs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

# ``done`` and ``total`` of a host's progress, and of a request.
PROGRESS_COUNTS = "progress_counts"
# ``worker`` of a host's hello, ``worker_version`` of what is told of hosts, and ``client_worker``
# of an answer to ``hosts``.
WORKERS = "workers"
# ``journal`` of a welcome and of a hello, ``request`` of an ack and of a result.
LOST_REQUESTS = "lost_requests"
OWN: tuple[str, ...] = (PROGRESS_COUNTS, WORKERS, LOST_REQUESTS)

# The optional fields of a request and of a host, by the feature that they come with.
_FIELDS = {PROGRESS_COUNTS: ("done", "total"), WORKERS: ("worker_version",)}


def known_to(features: Collection[str], told: dict[str, Any]) -> dict[str, Any]:
    """Return a plain request, or a host, with those fields only that a peer of these ``features``
    knows.
    """
    for feature, fields in _FIELDS.items():
        if feature not in features:
            told = {name: value for name, value in told.items() if name not in fields}
    return told
