# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a vm run: one that is off, paused, suspended or crashed."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.vm import Domain
from .verb import Change, Interrupted, OnVm, Takes, Verb, WantedVm, vm_record


@dataclass(frozen=True)
class StartSpec(OnVm):
    """A vm that shall run."""

    verb = "start"


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if wanted.state != START.state or existing.runs:
        return None
    spec = StartSpec(existing.name, existing.uuid, existing.host)
    # What is on, but stands, is only let go on; then it can be flattened, too.
    return Change(spec, {"state": "running"}, first=existing.active)


START = Verb(
    spec=StartSpec,
    record=vm_record(StartSpec),
    help="start a vm",
    interrupted=Interrupted.AGAIN,
    change=_change,
    state="running",
    takes=Takes.MEMORY,
    runs_vm=True,
)
