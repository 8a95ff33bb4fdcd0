# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of the peer: it is a second host, so that nothing is placed on it."""

from __future__ import annotations

from ...model import errors
from .candidates import Candidate


def check(candidate: Candidate, peer: str | None) -> None:
    """Raise MessageInvalid if a host is the one that the request needs as a second one."""
    if candidate.name == peer:
        raise errors.MessageInvalid("it is the request's peer, which must be a second host")
