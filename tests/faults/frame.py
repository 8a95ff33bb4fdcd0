# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every area of the fault tests gets: how much to do, its seed, and a folder of its own."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from support.figures import Figure, at_most, reported


@dataclass(frozen=True)
class Run:
    """One run of one area.

    ``short`` is the form that fits into `make test`. All that is random derives from ``seed``, so
    that a run can be repeated. ``folder`` has a short path, for sockets lie in it, and is removed
    with all that is in it.
    """

    area: str
    short: bool
    seed: int
    folder: Path
    begun: float = field(default_factory=time.monotonic)

    def random(self, *what: object) -> random.Random:
        """Return a source of randomness for one part of the area."""
        return random.Random(f"{self.seed} {self.area} {what}")  # noqa: S311 - to be repeated

    def within(self, figure: str, seconds: float, goal: float, how: str) -> Figure:
        """Return a figure with a goal of seconds, which the short form only reports.

        What `make test` finds must not hang on how busy the machine is.
        """
        if self.short:
            return reported(figure, seconds, f"{how}; goal {goal:g} when nothing else runs")
        return at_most(figure, seconds, goal, how)

    def say(self, text: str) -> None:
        """Print a line of progress."""
        seconds = time.monotonic() - self.begun
        print(f"[{self.area} {seconds:6.1f} s] {text}", file=sys.stderr, flush=True)


def until_heard(ends: Callable[[int], object]) -> None:
    """Try requests until one of them ends (``ends`` gets a number for its name).

    Where nothing is handed over twice, what is published while the host connects anew is lost.
    """
    assert any(ends(number) for number in range(6)), "the host hears nothing"
