# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths in texts that are QEMU's: an argument in a definition, and the name of a backing file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

_START = re.compile(r"""(?:^|(?<=[=:,;'"\s]))/""")
# Of a path, PATH_MAX, if each of its characters is a comma.
_MAX = 2 * 4096
# Where a path may end: in JSON, among QEMU's options, where a comma is doubled, and among words.
_ENDS = tuple(map(re.compile, (r"[^'\"]*", r"(?:[^,]|,,)*", r"[^\s,;:'\"]*")))
# A file in QEMU's JSON that is none of Python's: strings in single quotes.
_QUOTED_FILE = re.compile(r"""(?:filename|backing)['"]\s*:\s*(['"])(.*?)\1""")


def of_text(text: str) -> Iterator[str]:
    """Yield what may be absolute paths in ``text``, each in all ways in which it may end there."""
    for start in _START.finditer(text):
        rest = text[start.start() : start.start() + _MAX]
        found = [rest, *(match[0] for end in _ENDS if (match := end.match(rest)))]
        yield from dict.fromkeys([*found, *(each.replace(",,", ",") for each in found)])


def of_backing(name: str) -> Iterator[str]:
    """Yield the files in QEMU's name of a backing file: qemu(1), "Device URL Syntax"."""
    yield from filter(_is_path, _named(name))


def _is_path(name: str) -> bool:
    """Tell whether a name can be one of a file; JSON may state others."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _named(name: str) -> Iterator[str]:
    if name.startswith("json:"):
        try:
            yield from _filenames(json.loads(name[len("json:") :]))
        except (ValueError, RecursionError):
            yield from (match[2] for match in _QUOTED_FILE.finditer(name))
    elif name.startswith("file:"):
        yield name[len("file:") :]
    else:
        yield name


def _filenames(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key.rpartition(".")[2] in ("filename", "backing"):
                yield inner
            else:
                yield from _filenames(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _filenames(inner)
