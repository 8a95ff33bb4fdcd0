# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give an adopted vm back to those who made it."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.errors import VmProtected
from ..model.vm import Domain
from .verb import ADOPTION, Change, Interrupted, OnVm, Verb, WantedVm, vm_record


@dataclass(frozen=True)
class DisownSpec(OnVm):
    """An adopted vm that Maglica shall leave alone again."""

    verb = "disown"


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if wanted.adopt is not False or not existing.adopted:
        return None
    if existing.protected:
        raise VmProtected.of("disown", existing.name, existing.host)
    spec = DisownSpec(existing.name, existing.uuid, existing.host)
    # With what Maglica has noted of it.
    return Change(spec, {"adopted": False, "tags": []}, before={"adopted": True})


DISOWN = Verb(
    spec=DisownSpec,
    record=vm_record(DisownSpec),
    help="give an adopted vm back to those who made it, as it is",
    interrupted=Interrupted.AGAIN,
    change=_change,
    wanted={"adopt": False},
    feature=ADOPTION,
)
