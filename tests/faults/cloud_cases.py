# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clones are made on the cloud, and who is killed at which points of them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

# How many kills one request gets at most: a child's death counts as an attempt, three of which are
# allowed, and each wait for libvirtd is longer than the one before.
KILLS = {"host worker": 3, "child": 2, "libvirtd": 4, "client worker": 99}
Step = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """A clone, then its removal; ``steps`` and ``removal`` are (victim, point), in order.

    ``cancel``: instead of a removal the request is cancelled at this point, and ``removal`` has
    who is killed while it is undone. ``is_new``: the image has a version without a base.
    ``is_plain``: nothing is asked for that needs an appliance beyond the base's.
    """

    steps: tuple[Step, ...] = ()
    removal: tuple[Step, ...] = ()
    cancel: str | None = None
    is_full: bool = False
    is_new: bool = False
    is_plain: bool = False

    @property
    def kills(self) -> int:
        return len(self.steps) + len(self.removal)


# A clone with a base and an appliance of its own, which passes the most points.
WHOLE = Case(is_new=True)
SHORT = (Case((("host worker", "customize/appliance"),), (("child", "volumes/begin"),)),)


def clones(made: Sequence[str], removed: Sequence[str]) -> list[Case]:
    """Return cases that kill every victim at every point of a clone and of a removal."""
    cases = []
    for victim, most in KILLS.items():
        making, removing = _chains(victim, made, most), _chains(victim, removed, most)
        for steps, removal in zip_longest(making, removing, fillvalue=()):
            cases.append(Case(steps, removal, is_new=_needs_base(steps)))
    return cases


def other_ways(made: Sequence[str]) -> list[Case]:
    """Return cases that kill every victim in full copies, and in clones that need no appliance."""
    assert "base/copying" in made
    full = [Case(((victim, "copy/copying"),), is_full=True, is_plain=True) for victim in KILLS]
    plain = [
        Case(((victim, "customize/begin"), (victim, "customize/end")), is_plain=True)
        for victim in KILLS
    ]
    return full + plain


def cancels(made: Sequence[str]) -> list[Case]:
    """Return cases that cancel inside the long steps, also while what undoes it is killed."""
    assert {"base/copying", "base/appliance", "customize/appliance"} <= set(made)
    cases = [
        Case(cancel="copy/copying", is_full=True),
        Case(cancel="base/copying", is_new=True),
        Case(cancel="base/appliance", is_new=True),
        Case(cancel="customize/appliance"),
        Case(cancel="customize/end", is_plain=True),
    ]
    killed = [
        Case(cancel="customize/begin", removal=((victim, "undo/undo"),))
        for victim in ("host worker", "child", "libvirtd")
    ]
    return cases + killed


def _chains(victim: str, points: Sequence[str], most: int) -> list[tuple[Step, ...]]:
    if victim == "child":
        # There is no child yet.
        points = [point for point in points if point != "committed"]
    steps = [(victim, point) for point in points]
    return [tuple(steps[first : first + most]) for first in range(0, len(steps), most)]


def _needs_base(steps: Sequence[Step]) -> bool:
    return any(point.startswith("base/") for _victim, point in steps)
