# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for of a vm that is there, and stays as it is: nobody may think that it was done.
Pure.
"""

from __future__ import annotations

from ..model.vm import Domain
from .wanted import Wanted


def options(wanted: Wanted, existing: Domain) -> tuple[str, ...]:
    """Return the options that say how the vm shall be made, and that it is not as they say."""
    is_other = wanted.clone_mode == "linked" and existing.clone_mode == "full"
    return ("clone_mode",) if is_other else ()
