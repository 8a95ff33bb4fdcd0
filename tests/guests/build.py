# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the disks of all guests that `make guests` boots, and forget those of older recipes."""

from __future__ import annotations

import sys

from support.run import CHECKOUT, CloudError, run, step

from . import recipes
from .cases import CASES, GUESTS

CACHE = CHECKOUT / "build/cache/guests"


def main() -> int:
    """Make what lacks; 1 if that fails."""
    guests = tuple(dict.fromkeys(case.guest for case in CASES))
    try:
        run(CHECKOUT / "tests/tools/debian-packages", *recipes.PACKAGES)
        recipes.forget_older(CACHE, GUESTS)
        for guest in guests:
            with step(f"disk of {guest.name}"):
                recipes.build(guest, CACHE)
    except CloudError as error:
        print(f"guests: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
