# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shut a vm's guest down."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.vm import Domain
from .verb import (
    ENDING,
    FORCE,
    SHUTDOWN_TIMEOUT,
    Change,
    Interrupted,
    Leaves,
    OnVm,
    Verb,
    WantedVm,
    vm_record,
)


@dataclass(frozen=True)
class StopSpec(OnVm):
    """A vm that shall be off. The guest may take ``stop_timeout`` seconds to shut down; then the
    plug is pulled if ``force`` says so, else the request fails.
    """

    verb = "stop"
    force: bool = False
    stop_timeout: int = 120


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if wanted.state != STOP.state or not existing.active:
        return None
    pinned = (existing.name, existing.uuid, existing.host)
    return Change(StopSpec(*pinned, wanted.force, wanted.stop_timeout), {"state": "stopped"})


STOP = Verb(
    spec=StopSpec,
    record=vm_record(StopSpec, **ENDING),
    help="shut a vm down and wait until it is off",
    interrupted=Interrupted.AGAIN,
    options=(FORCE, SHUTDOWN_TIMEOUT),
    change=_change,
    state="stopped",
    leaves=Leaves.STOPPED,
)
