# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md against the tree: it has every room, and names no file that isn't there."""

from __future__ import annotations

import re
from pathlib import Path

from support.arrows import LIBRARY, read, room

CHECKOUT = Path(__file__).resolve().parents[3]
DOCUMENT = (CHECKOUT / "docs" / "architecture.md").read_text()
PATH = re.compile(r"`((?:\w+/)+(?:\w+\.\w+)?|\w+\.py)`")


def test_every_room_has_its_line() -> None:
    lines = re.findall(r"^\| `([\w/]+)/` \|", DOCUMENT, re.MULTILINE)
    folders = {str(source.path.parent) for source in read(CHECKOUT) if source.inside}
    rooms = {room(f"{folder}/a.py") for folder in folders} - {"maglica"}
    assert sorted(lines) == sorted(rooms)


def test_what_is_named_is_there() -> None:
    named = {name for name in PATH.findall(DOCUMENT) if not name.endswith("NAME.py")}
    named.remove("__init__.py")
    assert len(named) > 40
    library = CHECKOUT / "plugins" / LIBRARY
    assert {n for n in named if not (library / n).exists() and not (CHECKOUT / n).exists()} == set()
