# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of strangers as it may be shown: it can't command a terminal, nor forge a line. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

# Characters of a text that one component tells another: why something failed, or can't work.
MAX_TEXT = 2000
# Characters of a phase's name.
MAX_PHASE = 40
# A text about many things names this many; what comes after would only make it unreadable.
MAX_NAMED = 8
# What direct a text or its layout, of Unicode 14 and 15.1, which Python 3.9 does not know.
_LATER_FORMATS = frozenset(map(chr, (0x890, 0x891, *range(0x13439, 0x13440))))


def one_line(text: str) -> str:
    """Return ``text`` with every character that is not shown as an escape: ``\\n``, ``\\x1b``.

    These are control characters, line ends, marks of direction, and what is no character at all.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def can_be_shown(text: str) -> bool:
    """Tell whether a text of another component has no character that ``one_line`` must escape.

    Every Python from 3.9 on says the same, so that what one side takes the other does, and a name
    is the same on both. Characters that the sender's Python knows may be unassigned still to an
    older one's Unicode: these must not make a whole host or listing unreadable. What no Unicode
    ever assigns, U+FFFF for example, is not for interchange, and XML can't have it.
    """
    return text.isprintable() or all(map(_is_told, text))


def to_tell(text: str) -> str:
    """Return ``text`` as another component takes it: what can't be shown is an escape."""
    if can_be_shown(text):
        return text
    return "".join(char if _is_told(char) else ascii(char)[1:-1] for char in text)


def note(text: str) -> str:
    """Return a text of several lines as another component takes it, of bounded length."""
    return "\n".join(map(to_tell, text.split("\n")))[:MAX_TEXT]


def _is_told(char: str) -> bool:
    if char.isprintable():
        return True
    is_unassigned = unicodedata.category(char) == "Cn" and not _is_noncharacter(char)
    return is_unassigned and char not in _LATER_FORMATS


def _is_noncharacter(char: str) -> bool:
    """Tell whether a code point is one of the 66 that stay unassigned (Unicode, section 23.7)."""
    return ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF


def short(text: str, most: int = 100) -> str:
    """Return the first ``most`` characters of ``text``, with a mark where there were more."""
    return text if len(text) <= most else text[:most] + "…"


def told(error: Exception | str) -> str:
    """Return what one component tells another of an error: one line of bounded length."""
    return one_line(str(error))[:MAX_TEXT]


def some(texts: Sequence[str], separator: str = ", ") -> str:
    """Return the first of ``texts`` as one, and how many more there are."""
    shown = list(texts[:MAX_NAMED])
    if len(texts) > MAX_NAMED:
        shown.append(f"and {len(texts) - MAX_NAMED} more")
    return separator.join(shown)
