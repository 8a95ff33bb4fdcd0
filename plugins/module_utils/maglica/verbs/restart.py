# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shut a vm's guest down and start it again; one that is off is started."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.vm import Domain
from .verb import (
    ENDING,
    FORCE,
    SHUTDOWN_TIMEOUT,
    Change,
    Interrupted,
    OnVm,
    Takes,
    Verb,
    WantedVm,
    vm_record,
)


@dataclass(frozen=True)
class RestartSpec(OnVm):
    """A vm that shall be started anew. ``force`` and ``stop_timeout`` are as of a vm that shall be
    off.
    """

    verb = "restart"
    force: bool = False
    stop_timeout: int = 120


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if wanted.state != RESTART.state:
        return None
    pinned = (existing.name, existing.uuid, existing.host)
    spec = RestartSpec(*pinned, wanted.force, wanted.stop_timeout)
    # It is always a change, also where the vm runs before and after.
    return Change(spec, {"state": "running", "restarted": True}, before={"restarted": False})


RESTART = Verb(
    spec=RestartSpec,
    record=vm_record(RestartSpec, **ENDING),
    help="shut a vm down and start it again; start it if it is off",
    interrupted=Interrupted.AGAIN,
    options=(FORCE, SHUTDOWN_TIMEOUT),
    change=_change,
    state="restarted",
    takes=Takes.MEMORY,
    runs_vm=True,
)
