# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of what answers: a host's worker must have reported, be alive, be one, and have no
problem.
"""

from __future__ import annotations

from ...model import errors
from .candidates import Candidate, Holdings


def check(candidate: Candidate) -> Holdings:
    """Return what the host has. Raises HostDown."""
    holdings = candidate.holdings
    if candidate.conflict is not None:
        raise errors.HostDown(candidate.conflict)
    if holdings is None:
        raise errors.HostDown("its host worker has not reported yet")
    if not candidate.alive:
        raise errors.HostDown(
            "its host worker does not answer; look there at `systemctl status maglica-host-worker`"
        )
    if holdings.report.problem:
        raise errors.HostDown(holdings.report.problem[:300])
    return holdings
