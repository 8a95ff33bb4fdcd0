# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how plugins/ is built: folders, lines, imports between rooms, lines that stand twice.

All is read from the source, so it works on any checkout of any age. See `make house`.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from support.arrows import Source, circles, file_arrows, read, room_arrows

CHECKOUT = Path(__file__).resolve().parents[2]
# As many lines in a row that stand twice are one thing written twice.
RUN = 6
# What a change of the program drags along: the tests and documents.
ASIDE = ("tests/", "docs/", "changelogs/")


@dataclass(frozen=True)
class Function:
    """A function or method, its lines from `def` to the last."""

    where: str
    lines: int


@dataclass(frozen=True)
class Twice:
    """Lines that stand in two places, each "file:line"; blank lines and imports don't count."""

    first: str
    second: str
    lines: int


def lines_of(source: Source) -> int:
    return source.text.count("\n")


def functions(source: Source) -> Iterator[Function]:
    """Yield each function of a file, nested ones too, by its full name."""
    open_nodes: list[tuple[ast.AST, str]] = [(source.tree, "")]
    while open_nodes:
        node, prefix = open_nodes.pop()
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}" if prefix else child.name
                if not isinstance(child, ast.ClassDef):
                    end = child.end_lineno or child.lineno
                    yield Function(f"{source.path}: {name}", end - child.lineno + 1)
            open_nodes.append((child, name))


def counted_lines(source: Source) -> list[tuple[int, str]]:
    """Return the lines that may stand twice, with their numbers."""
    skipped: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.text.splitlines(), start=1)
    return [(n, line.rstrip()) for n, line in lines if line.strip() and n not in skipped]


def twice(sources: Iterable[Source]) -> list[Twice]:
    """Return each pair of places where RUN or more lines are the same, as long as it gets."""
    places: list[str] = []
    texts: list[str | None] = []
    for source in sources:
        for number, text in counted_lines(source):
            places.append(f"{source.path}:{number}")
            texts.append(text)
        # Between two files stands what is equal to nothing.
        places.append("")
        texts.append(None)
    windows: defaultdict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for start in range(len(texts) - RUN + 1):
        window = tuple(texts[start : start + RUN])
        if None not in window:
            windows[window].append(start)
    found = []
    for starts in windows.values():
        for position, first in enumerate(starts):
            for second in starts[position + 1 :]:
                length = run_length(texts, first, second)
                if length >= RUN:
                    found.append(Twice(places[first], places[second], length))
    return sorted(found, key=lambda each: (-each.lines, each.first, each.second))


def run_length(texts: Sequence[str | None], first: int, second: int) -> int:
    """Return how many lines are the same from both places on; 0 inside of a longer run."""
    if first and texts[first - 1] is not None and texts[first - 1] == texts[second - 1]:
        return 0
    length = 0
    # A run does not reach into its own second place.
    while first + length < second and second + length < len(texts):
        if texts[first + length] is None or texts[first + length] != texts[second + length]:
            break
        length += 1
    return length


def changed(root: Path, commits: Iterable[str]) -> list[str]:
    """Return the files that these commits and ranges changed, tests and documents aside."""
    names: set[str] = set()
    for each in commits:
        span = each if ".." in each else f"{each}^!"
        names.update(
            subprocess.run(
                ["git", "-C", root, "diff", "--name-only", "--find-renames", span, "--"],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout.splitlines()
        )
    return sorted(n for n in names if not n.startswith(ASIDE) and not n.endswith((".md", ".rst")))


def report(sources: Sequence[Source]) -> Iterator[str]:
    """Yield the lines of the measure."""
    inside = [source for source in sources if source.inside]
    outside = [source for source in sources if not source.inside]
    for title, some in (("the library", inside), ("the rest of plugins/", outside)):
        if some:
            yield f"== {title}"
            yield from sizes(some)
            yield ""
    arrows = file_arrows(sources)
    rooms = room_arrows(arrows)
    yield "== imports"
    yield f"between files: {sum(map(len, arrows.values()))}"
    yield from counted("circles of files", [", ".join(circle) for circle in circles(arrows)])
    yield f"rooms: {len(rooms)} (the folders, and each main.py)"
    yield from counted("circles of rooms", [", ".join(circle) for circle in circles(rooms)])
    yield f"arrows between rooms: {sum(map(len, rooms.values()))}"
    for room in sorted(rooms):
        if rooms[room]:
            yield f"  {room} -> {' '.join(sorted(rooms[room]))}"
    yield ""
    yield f"== {RUN} or more lines that stand twice"
    yield f"pairs of places in the library: {len(twice(inside))}"
    yield from counted(
        "pairs of places in all of plugins/",
        [f"{each.lines} lines: {each.first} and {each.second}" for each in twice(sources)],
    )


def sizes(sources: Sequence[Source]) -> Iterator[str]:
    """Yield how large the folders are, and the largest of everything."""
    files = Counter(source.path.parent for source in sources)
    lines: Counter[PurePosixPath] = Counter()
    for source in sources:
        lines[source.path.parent] += lines_of(source)
    yield "files  lines  folder"
    for folder in sorted(files):
        yield f"{files[folder]:>5}  {lines[folder]:>5}  {folder}"
    yield f"{sum(files.values()):>5}  {sum(lines.values()):>5}  all"
    largest = min(files, key=lambda folder: (-files[folder], folder))
    yield f"files in the largest folder: {files[largest]} ({largest})"
    longest = min(sources, key=lambda source: (-lines_of(source), source.path))
    yield f"lines of the longest file: {lines_of(longest)} ({longest.path})"
    every = [function for source in sources for function in functions(source)]
    if every:
        function = min(every, key=lambda each: (-each.lines, each.where))
        yield f"lines of the longest function: {function.lines} ({function.where})"


def counted(what: str, items: Sequence[str]) -> Iterator[str]:
    yield f"{what}: {len(items)}"
    yield from (f"  {item}" for item in items)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="another checkout to measure")
    parser.add_argument(
        "--commit",
        nargs="+",
        help="count instead the files that these commits, or ranges A..B, changed together",
    )
    options = parser.parse_args()
    if options.commit:
        files = changed(options.root, options.commit)
        lines = counted("files changed, tests and documents aside", files)
    else:
        lines = report(read(options.root))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
