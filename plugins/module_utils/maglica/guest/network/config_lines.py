# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a configuration file in which one that ends with a backslash goes on in the next."""

from __future__ import annotations

from collections.abc import Iterator


def joined(text: str, marks: str = "#", joint: str = " ") -> Iterator[str]:
    """Yield the lines without comments, which begin with one of ``marks`` and never go on.

    ``joint`` stands where two were joined: systemd has a blank there. ifupdown has nothing, and a
    comment after a line that goes on is a part of it.
    """
    begun: list[str] = []
    for line in text.split("\n"):
        if line.lstrip()[:1] in tuple(marks) and (joint or not begun):
            continue
        if line.endswith("\\"):
            begun.append(line[:-1])
            continue
        yield joint.join([*begun, line])
        begun = []
    if begun:
        yield joint.join(begun)
