# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say of a vm whether its host starts it, what it is for, and whether it is protected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..model.checks import boolean, optional, text
from ..model.vm import Domain
from .verb import (
    SETTINGS,
    Change,
    Interrupted,
    OnVm,
    Option,
    Verb,
    WantedVm,
    vm_record,
)

DESCRIPTION = text()


@dataclass(frozen=True)
class SetSpec(OnVm):
    """What a vm shall be known by; what is None stays as it is.

    ``autostart``: it is started with its host. An empty ``description`` is none. ``protected``: it
    is not removed, nor is any of its data destroyed.
    """

    verb = "set"
    autostart: bool | None = None
    description: str | None = None
    protected: bool | None = None


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    before = {
        "autostart": existing.autostart,
        "description": existing.description,
        "protected": existing.protected,
    }
    after: dict[str, Any] = {}
    for name, value in before.items():
        asked = getattr(wanted, name)
        # An empty description is none.
        now = value or "" if name == "description" else value
        if asked not in (None, now):
            after[name] = asked
    if not after:
        return None
    spec = SetSpec(existing.name, existing.uuid, existing.host, **after)
    # No description is none, also where it is shown.
    shown = {name: None if value == "" else value for name, value in after.items()}
    return Change(spec, shown, before={name: before[name] for name in after})


SET = Verb(
    spec=SetSpec,
    record=vm_record(
        SetSpec,
        autostart=optional(boolean),
        description=optional(DESCRIPTION),
        protected=optional(boolean),
    ),
    help="say whether a vm starts with its host, what it is for, whether it is protected",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("autostart", "--autostart", "start it with its host", "yes or no"),
        Option("description", "--description", "empty: none", "any text", "TEXT"),
        Option("protected", "--protected", "refuse to remove it", "yes or no"),
    ),
    change=_change,
    feature=SETTINGS,
)
