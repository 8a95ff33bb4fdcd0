# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let Maglica run and change a vm that others made."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.vm import Domain
from .verb import ADOPTION, Change, Interrupted, OnVm, Verb, WantedVm, vm_record


@dataclass(frozen=True)
class AdoptSpec(OnVm):
    """A domain of others that Maglica shall run and change; its disks stay theirs."""

    verb = "adopt"


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if not wanted.adopt or existing.made or existing.adopted:
        return None
    spec = AdoptSpec(existing.name, existing.uuid, existing.host)
    return Change(spec, {"adopted": True}, before={"adopted": False}, first=True)


ADOPT = Verb(
    spec=AdoptSpec,
    record=vm_record(AdoptSpec),
    help="take over a vm that others made, to run and change it; its disks stay theirs",
    interrupted=Interrupted.AGAIN,
    change=_change,
    wanted={"adopt": True},
    unique=True,
    feature=ADOPTION,
)
