# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/protocol.md, read: its chapters, sections and tables."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()


def sections(level: str, text: str) -> dict[str, str]:
    """Return the text under each heading of one level."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


CHAPTERS = sections("##", DOCUMENT)


def rows(text: str, *titles: str) -> list[tuple[str, ...]]:
    """Return the rows of the table with these titles."""
    lines = text.splitlines()
    head = f"| {' | '.join(titles)} |"
    if head not in lines:
        return []
    found = []
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            break
        found.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return found
