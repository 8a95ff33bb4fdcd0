# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of processors: no vm is given more than its host has.

Vms share them, so that all together may have more. What an image has of its own is its owner's say.
"""

from __future__ import annotations

from ...model.errors import NoRoom
from .candidates import Holdings


def check(vcpus: int | None, holdings: Holdings | None) -> None:
    """Raise NoRoom if so many are asked for that the host can't run them at once.

    None: nothing is asked for. A worker that has just started does not tell how many there are.
    """
    there = holdings.report.cpus if holdings else 0
    if vcpus is not None and 0 < there < vcpus:
        raise NoRoom(
            f"{vcpus} vCPUs asked for: with its {there} CPUs a vm can have {there} at most"
        )
