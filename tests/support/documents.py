# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""README and docs, read: their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in (CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"))
)
# The fence may be indented, as in a list, and may say more than the language.
_BLOCK = re.compile(r"^( *)```([^`\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^[$#] (\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document; ``kind`` is what stands after the fence."""

    document: str
    kind: str
    text: str

    @property
    def value(self) -> Any:
        """What it says as YAML."""
        return yaml.safe_load(self.text)

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line that somebody types."""
        return [shlex.split(line) for line in _COMMAND.findall(self.text)]


def blocks(document: str, kind: str | None = None) -> list[Block]:
    """Return the blocks of a document, named from the checkout, all or those of one kind."""
    found = _BLOCK.findall((CHECKOUT / document).read_text(encoding="utf-8"))
    every = [Block(document, word.strip(), text) for _indent, word, text in found]
    return [block for block in every if kind is None or block.kind == kind]


def block(document: str, mark: str) -> Block:
    """Return the only block of a document that has this text."""
    (found,) = (each for each in blocks(document) if mark in each.text)
    return found
