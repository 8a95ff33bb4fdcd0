# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a vm stand still, in memory, whatever it does now."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.vm import Domain
from ..verb import (
    PAUSED,
    Change,
    Interrupted,
    Leaves,
    OnVm,
    Takes,
    Verb,
    WantedVm,
    vm_record,
)


@dataclass(frozen=True)
class PauseSpec(OnVm):
    """A vm that shall be paused; one that is off is started so."""

    verb = "pause"


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if wanted.state != PAUSE.state or existing.state == PAUSE.state:
        return None
    return Change(PauseSpec(existing.name, existing.uuid, existing.host), {"state": "paused"})


PAUSE = Verb(
    spec=PauseSpec,
    record=vm_record(PauseSpec),
    help="pause a vm: its guest stands still, in memory; one that is off is started so",
    interrupted=Interrupted.AGAIN,
    change=_change,
    state="paused",
    takes=Takes.MEMORY,
    leaves=Leaves.PAUSED,
    feature=PAUSED,
)
