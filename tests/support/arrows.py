# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who imports whom, read from the source of plugins/ without running it.

A file imports files; a room imports rooms. A room is a folder. An entry point (main.py) puts
together what lies below its folder and is imported by nobody, so it is a room of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

COLLECTION_NAME = "ansible_collections.maglica.cloud.plugins"
LIBRARY = PurePosixPath("module_utils/maglica")
LIBRARY_NAME = f"{COLLECTION_NAME}.module_utils.maglica"

# From each file or room to those that it imports.
Arrows = Mapping[str, Set[str]]


@dataclass(frozen=True)
class Source:
    """One file of plugins/, parsed; `path` is relative to plugins/."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def inside(self) -> str | None:
        """The path inside the library, or None for what is not the library."""
        is_inside = self.path.is_relative_to(LIBRARY)
        return str(self.path.relative_to(LIBRARY)) if is_inside else None


@dataclass(frozen=True)
class Import:
    """One thing that a file imports: as written, and inside plugins/ where it leads there."""

    name: str
    line: int
    level: int
    plugin: tuple[str, ...]

    @property
    def target(self) -> str | None:
        """Where it leads inside the library ("wire.message.Frames"), if it does."""
        depth = len(LIBRARY.parts)
        return ".".join(self.plugin[depth:]) if self.plugin[:depth] == LIBRARY.parts else None


def read(root: Path) -> list[Source]:
    """Read all files of a checkout's plugins/."""
    plugins = root / "plugins"
    paths = sorted(p for p in plugins.rglob("*.py") if "__pycache__" not in p.parts)
    return [Source(PurePosixPath(p.relative_to(plugins)), p.read_text()) for p in paths]


def imports(source: Source) -> Iterator[Import]:
    """Yield each import of a file, wherever in the file it stands."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _import(source, alias.name, node.lineno, 0)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = ".".join(filter(None, (node.module, alias.name)))
                yield _import(source, name, node.lineno, node.level)


def _import(source: Source, name: str, line: int, level: int) -> Import:
    parts = tuple(name.split("."))
    plugin: tuple[str, ...] = ()
    if level:
        parents = source.path.parents
        plugin = (*(parents[level - 1].parts if level <= len(parents) else ()), *parts)
    elif name == COLLECTION_NAME or name.startswith(f"{COLLECTION_NAME}."):
        plugin = parts[len(COLLECTION_NAME.split(".")) :]
    elif parts[0] == LIBRARY.name:
        plugin = (*LIBRARY.parent.parts, *parts)
    return Import(name, line, level, plugin)


def file_arrows(sources: Iterable[Source]) -> dict[str, set[str]]:
    """Return for each file of plugins/ those that it imports."""
    sources = list(sources)
    files = {source.path.with_suffix("").parts: str(source.path) for source in sources}
    arrows: dict[str, set[str]] = {str(source.path): set() for source in sources}
    for source in sources:
        for each in imports(source):
            prefixes = (each.plugin[:length] for length in range(len(each.plugin), 0, -1))
            found = next((files[prefix] for prefix in prefixes if prefix in files), None)
            if found is not None:
                arrows[str(source.path)].add(found)
    return arrows


def room(path: str) -> str:
    """Return the room of a file, as it is called inside the library: "wire", "cli/main"."""
    file = PurePosixPath(path)
    folder = file.with_suffix("") if file.name == "main.py" else file.parent
    if folder == LIBRARY:
        return "maglica"
    return str(folder.relative_to(LIBRARY) if folder.is_relative_to(LIBRARY) else folder)


def room_arrows(arrows: Arrows) -> dict[str, set[str]]:
    """Return for each room the others that its files import."""
    rooms: dict[str, set[str]] = {room(file): set() for file in arrows}
    for file, others in arrows.items():
        rooms[room(file)] |= {room(other) for other in others} - {room(file)}
    return rooms


def circles(arrows: Arrows) -> list[list[str]]:
    """Return the sets of those that reach each other, each sorted."""
    reached = {each: reach(arrows, each) for each in arrows}
    found = {
        tuple(sorted(other for other in reached[each] if each in reached[other]))
        for each in arrows
        if each in reached[each]
    }
    return [list(circle) for circle in sorted(found)]


def reach(arrows: Arrows, start: str) -> set[str]:
    """Return all that `start` comes to by one arrow or more."""
    seen: set[str] = set()
    open_ends = [start]
    while open_ends:
        for other in arrows.get(open_ends.pop(), ()):
            if other not in seen:
                seen.add(other)
                open_ends.append(other)
    return seen
