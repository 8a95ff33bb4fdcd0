# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a vm with all that is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..model.checks import boolean
from ..model.text import some
from .verb import ADOPTION, Interrupted, Leaves, OnVm, Option, Verb, vm_record


@dataclass(frozen=True)
class RemoveSpec(OnVm):
    """A vm that shall be no more, running or not. One that was adopted goes only with
    ``remove_foreign_disks``, with those of its files that nothing else refers to.
    """

    verb = "remove"
    remove_foreign_disks: bool = False


def not_ours(files: Sequence[str]) -> str:
    """Return why an adopted vm is not removed, and what to do; ``files`` are its own."""
    what = f"with its files ({some(files)})" if files else "(no file of its own would go with it)"
    return (
        "it was adopted, so that its disks are not Maglica's to remove: say"
        f" remove_foreign_disks=true to remove it {what}, or give it back as it is (adopt=false)"
    )


REMOVE = Verb(
    spec=RemoveSpec,
    record=vm_record(RemoveSpec, remove_foreign_disks=boolean),
    help="remove a clone with its disks, also when it runs",
    interrupted=Interrupted.FINISHED,
    state="absent",
    leaves=Leaves.GONE,
    ends_vm=True,
    options=(
        Option(
            "remove_foreign_disks",
            "--remove-foreign-disks",
            "also one that was adopted, with its disks, which others have made",
            "switch",
        ),
    ),
    later={"remove_foreign_disks": ADOPTION},
    destroys=True,
)
