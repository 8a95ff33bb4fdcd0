# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a vm with all that is its own."""

from __future__ import annotations

from dataclasses import dataclass

from .verb import Interrupted, Leaves, OnVm, Verb, vm_record


@dataclass(frozen=True)
class RemoveSpec(OnVm):
    """A vm that shall be no more, running or not."""

    verb = "remove"


REMOVE = Verb(
    spec=RemoveSpec,
    record=vm_record(RemoveSpec),
    help="remove a clone with its disks, also when it runs",
    interrupted=Interrupted.FINISHED,
    state="absent",
    leaves=Leaves.GONE,
    ends_vm=True,
)
