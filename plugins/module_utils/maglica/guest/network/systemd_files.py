# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads configuration files of systemd, with their drop-ins, as its programs do.

By systemd.syntax(7), systemd.network(5) and networkd.conf(5) of versions 247 to 257: files of all
folders are taken in the order of their names; of two with one name that in /etc counts, then that
in /usr/local/lib. An empty file and a link to /dev/null switch off what has their name.
NAME.d/*.conf is read after NAME, in the same manner. In /run is nothing while a guest is off.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from ...model.errors import GuestUnsupported
from ..filesystem import Filesystem, Kind
from . import config_lines

# The later ones count more.
FOLDERS = ("/lib/systemd", "/usr/lib/systemd", "/usr/local/lib/systemd", "/etc/systemd")
_READ_LIMIT = 256 * 1024
_MAX_FILES = 100
# Of all files of a kind together: those of a distribution have some ten thousand bytes.
_MAX_BYTES = 128 * 1024

Section = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Part:
    """A file or one of its drop-ins: its sections in their order, with keys and values."""

    path: str
    sections: tuple[Section, ...]

    @property
    def lines(self) -> Iterator[tuple[str, str, str]]:
        """What to look a setting up by ("network.dhcp"), its value, and it as it is written."""
        for section, settings in self.sections:
            for key, value in settings:
                yield f"{section}.{key}".lower(), value, f"{key}={value}"


def find(filesystem: Filesystem, pattern: str) -> Iterator[tuple[Part, ...]]:
    """Yield the files that match ``pattern`` below systemd's folders, each before its drop-ins.

    Raises GuestUnsupported for too many, or too much in them.
    """
    mains: dict[str, str] = {}
    drop_ins: dict[str, dict[str, str]] = {}
    for folder in FOLDERS:
        mains.update({posixpath.basename(p): p for p in filesystem.glob(f"{folder}/{pattern}")})
        for path in filesystem.glob(f"{folder}/{pattern}.d/*.conf"):
            parent, name = path.split("/")[-2:]
            drop_ins.setdefault(parent[: -len(".d")], {})[name] = path
    if len(mains) + sum(map(len, drop_ins.values())) > _MAX_FILES:
        raise GuestUnsupported(f"the guest has more than {_MAX_FILES} files systemd/{pattern}")
    left = _MAX_BYTES
    for name, main in sorted(mains.items()):
        if text(filesystem, main):
            paths = [main, *(path for _name, path in sorted(drop_ins.get(name, {}).items()))]
            texts = [text(filesystem, path) for path in paths]
            left -= sum(map(len, texts))
            if left < 0:
                raise GuestUnsupported(
                    f"the guest's files systemd/{pattern} have more than {_MAX_BYTES} bytes"
                )
            yield tuple(Part(path, parse(said)) for path, said in zip(paths, texts))


def part(filesystem: Filesystem, path: str) -> Part:
    """Return one file without its drop-ins."""
    return Part(path, parse(text(filesystem, path)))


def hidden(filesystem: Filesystem, path: str) -> Iterator[Part]:
    """Yield the files that would count if the one in /etc were gone, which has the same name."""
    for folder in FOLDERS[:-1]:
        below = path.replace(FOLDERS[-1], folder, 1)
        if text(filesystem, below):
            yield part(filesystem, below)


def text(filesystem: Filesystem, path: str) -> str:
    """Return what a file says, nothing where it is switched off."""
    kind = filesystem.kind(path)
    if kind not in (Kind.FILE, Kind.SYMLINK):
        return ""
    try:
        content = filesystem.read(path, _READ_LIMIT) or b""
    except GuestUnsupported:
        if kind is Kind.FILE:
            raise
        return ""
    return content.decode("utf-8", "surrogateescape")


def parse(content: str) -> tuple[Section, ...]:
    """Return the sections of a file."""
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    for line in config_lines.joined(content, "#;"):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped[0] == "[" and stripped[-1] == "]":
            sections.append((stripped[1:-1], []))
        elif "=" in stripped and sections:
            key, _equals, value = stripped.partition("=")
            sections[-1][1].append((key.strip(), value.strip()))
    return tuple((name, tuple(settings)) for name, settings in sections)
