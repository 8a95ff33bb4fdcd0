# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a vm its tags, all of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.vm import Domain
from .verb import (
    TAGS,
    Change,
    Interrupted,
    OnVm,
    Option,
    Verb,
    WantedVm,
    vm_record,
)


@dataclass(frozen=True)
class TagSpec(OnVm):
    """A vm that shall have these tags and no others."""

    verb = "tag"
    tags: tuple[str, ...] = ()


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    if wanted.tags is None or wanted.tags == existing.tags:
        return None
    spec = TagSpec(existing.name, existing.uuid, existing.host, wanted.tags)
    return Change(spec, {"tags": list(wanted.tags)})


TAG = Verb(
    spec=TagSpec,
    record=vm_record(TagSpec, tags=TAGS),
    help="give a vm these tags and no others",
    interrupted=Interrupted.AGAIN,
    options=(Option("tags", "tags", "none: take all away", "tags", "TAG"),),
    change=_change,
)
