# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws how a time grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

# The same picture for the same numbers: no date, no random ids.
mpl.rcParams["svg.hashsalt"] = "maglica"


def draw(path: Path, series: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Draw each series of (number, seconds) in a panel of its own, into an SVG file."""
    picture = Figure(figsize=(9, 3.2), layout="constrained")
    for panel, (name, points) in zip(picture.subplots(1, len(series)), series.items()):
        panel.plot(*zip(*points), marker="o")
        panel.set_xlabel(name)
        panel.set_ylabel("seconds")
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    picture.savefig(path, metadata={"Date": None})


def bars(path: Path, ways: Mapping[str, float]) -> None:
    """Draw seconds, on a scale of powers of ten, into an SVG file."""
    picture = Figure(figsize=(9, 3.2), layout="constrained")
    panel = picture.subplots()
    marks = panel.barh(list(ways), list(ways.values()))
    panel.bar_label(marks, [f"{seconds:.3g} s" for seconds in ways.values()], padding=4)
    panel.set_xscale("log")
    panel.set_xlabel("seconds")
    panel.invert_yaxis()
    panel.margins(x=0.1)
    picture.savefig(path, metadata={"Date": None})
