# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a linked vm independent of its base."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.request import CloneMode
from ..model.vm import Domain
from .verb import Change, Interrupted, OnVm, Verb, WantedVm, vm_record


@dataclass(frozen=True)
class FlattenSpec(OnVm):
    """A vm whose disks shall depend on nothing."""

    verb = "flatten"


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    linked, full = CloneMode.LINKED.value, CloneMode.FULL.value
    if wanted.clone.clone_mode != full or existing.clone_mode != linked:
        return None
    spec = FlattenSpec(existing.name, existing.uuid, existing.host)
    return Change(spec, {"clone_mode": full}, before={"clone_mode": linked})


FLATTEN = Verb(
    spec=FlattenSpec,
    record=vm_record(FlattenSpec),
    help="copy what a linked vm has of its base, so that it depends on nothing",
    interrupted=Interrupted.UNDONE,
    wanted={"clone_mode": CloneMode.FULL},
    change=_change,
)
