# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a guest's cards, as systemd gives them, and patterns for them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain

from ...model.errors import GuestUnsupported
from ..filesystem import Filesystem
from . import systemd_files

GLOB = re.compile(r"[*?\[]")
_RULES = "/etc/udev/rules.d/*.rules"
_NAMED_BY = re.compile(r"\bNAME[ \t]*:?=[ \t]*\"([^\"$%]+)\"")
_MAX_NAMES = 1000


def found(filesystem: Filesystem) -> Sequence[str]:
    """Return names of cards, sorted: usual ones, and what .link files and rules of udev say."""
    names = {"en0", "eth0"}
    for part in chain.from_iterable(systemd_files.find(filesystem, "network/*.link")):
        names.update(value for what, value, _line in part.lines if what == "link.name")
    for path in filesystem.glob(_RULES):
        names.update(_NAMED_BY.findall(systemd_files.text(filesystem, path)))
        if len(names) > _MAX_NAMES:
            raise GuestUnsupported(
                f"{path} in the guest, with the files before it, names more than {_MAX_NAMES} cards"
            )
    return sorted(names)


def may_match(pattern: str, texts: Sequence[str]) -> bool:
    """Tell whether a pattern may be for one of ``texts``, which are sorted."""
    start = GLOB.split(pattern.lstrip("!"), maxsplit=1)[0]
    # Those that begin so stand together, the text itself first.
    place = bisect_left(texts, start)
    found = texts[place] if place < len(texts) else None
    if found is None or not GLOB.search(pattern):
        return found == start
    return found.startswith(start)
