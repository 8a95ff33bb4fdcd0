# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: written for programs to build/figures, and as a table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Figure:
    """A value beside its goal; ``met`` is None where there is no goal to meet."""

    figure: str
    value: float | int | str
    goal: str
    met: bool | None
    how: str


def at_least(figure: str, value: float, goal: float, how: str) -> Figure:
    return Figure(figure, round(value, 2), f">= {goal:g}", value >= goal, how)


def at_most(figure: str, value: float, goal: float, how: str) -> Figure:
    return Figure(figure, round(value, 3), f"<= {goal:g}", value <= goal, how)


def reported(figure: str, value: float, how: str) -> Figure:
    return Figure(figure, round(value, 3), "reported", None, how)


def read(name: str) -> list[Figure]:
    """Return what build/figures/NAME.json has; nothing where there is none yet."""
    source = CHECKOUT / "build" / "figures" / f"{name}.json"
    return [Figure(**each) for each in json.loads(source.read_text())] if source.exists() else []


def write(name: str, figures: Sequence[Figure]) -> None:
    """Write build/figures/NAME.json."""
    target = CHECKOUT / "build" / "figures" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table in Markdown."""
    words = {True: "yes", False: "**no**", None: ""}
    rows = [
        f"| {entry.figure} | {entry.value} | {entry.goal} | {words[entry.met]} | {entry.how} |"
        for entry in figures
    ]
    return "\n".join(["| figure | value | goal | met | how |", "|---|---|---|---|---|", *rows])


def control(figure: str, value: float, how: str) -> Figure:
    """A negative control: with the protection switched off, the same run must show failures."""
    return Figure(f"{figure} (control)", value, "> 0", value > 0, how)
