# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No text keeps the marks of a merge that was never ended."""

from __future__ import annotations

from pathlib import Path

ENDINGS = {".md", ".py", ".yml", ".yaml", ".j2", ".json", ".toml", ".txt"}
FOLDERS = ("changelogs", "docs", "meta", "playbooks", "plugins", "roles", "tests")


def test_no_text_has_marks_of_a_merge(checkout: Path) -> None:
    texts = [*checkout.glob("*.*"), *(each for f in FOLDERS for each in (checkout / f).rglob("*"))]
    marks = tuple(mark * 7 + " " for mark in "<>")
    marked = [
        f"{path.relative_to(checkout)}:{number}"
        for path in texts
        if path.suffix in ENDINGS and path.is_file()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if line.startswith(marks)
    ]
    assert marked == []
