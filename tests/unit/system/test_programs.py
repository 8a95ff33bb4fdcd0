# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call of QEMU's disk programs states the formats of the disks that it opens, and limits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[3] / "plugins" / "module_utils" / "maglica"
PROGRAMS = {"qemu-img", "qemu-io", "qemu-nbd", "qemu-storage-daemon"}


def strings(node: ast.AST) -> set[str]:
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def guesses(source: str) -> Iterator[int]:
    """Yield the line of each function that has a disk opened and states no format."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        # What qemu-io is told to open after its start.
        for text in strings(node):
            if text.startswith("open ") and not text.startswith("open -o "):
                yield node.lineno
        if any(map(opens_disks, ast.walk(node))):
            called = {
                ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)
            }
            # images.source() states the format of each layer; -O is that of what is written.
            is_whole = "source" in called and "-O" in strings(node)
            if not ("-f" in strings(node) or is_whole):
                yield node.lineno


def unlimited(source: str) -> Iterator[int]:
    """Yield the line of each start of a program whose command line has no limits."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
            command = node.args[0] if node.args else None
            if not (isinstance(command, ast.Call) and ast.unparse(command.func) == "limited"):
                yield node.lineno


def opens_disks(node: ast.AST) -> bool:
    """Tell whether this is a command line; one that is the program alone opens nothing."""
    return isinstance(node, ast.List) and bool(strings(node) & PROGRAMS) and len(node.elts) > 1


def calls() -> list[Path]:
    return [
        path for path in LIBRARY.rglob("*.py") if strings(ast.parse(path.read_text())) & PROGRAMS
    ]


@pytest.mark.parametrize("path", calls(), ids=lambda path: path.name)
def test_no_format_is_guessed(path: Path) -> None:
    assert list(guesses(path.read_text())) == []


@pytest.mark.parametrize("path", calls(), ids=lambda path: path.name)
def test_none_is_without_limits(path: Path) -> None:
    assert list(unlimited(path.read_text())) == []


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ('subprocess.run(["qemu-img", "map", path])', True),
        ("subprocess.Popen(words)", True),
        ("subprocess.Popen(limited(words, 60))", False),
    ],
)
def test_the_rule_of_limits_complains(line: str, bad: bool) -> None:
    assert bool(list(unlimited(f"def act():\n    {line}\n"))) is bad


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ('run(["qemu-img", "info", path])', True),
        ('run(["qemu-img", "info", "-f", "raw", path])', False),
        ('run(["qemu-img", "convert", "-O", "qcow2", path, target])', True),
        ('run(["qemu-img", "convert", "-O", "qcow2", source(chain), target])', False),
        ('run(["qemu-io", "-c", "read 0 1", path])', True),
        ('run(["qemu-io"], "open disk.qcow2")', True),
        ('run(["qemu-io"], f"open -o driver={kind} {path}")', False),
    ],
)
def test_the_rule_complains(line: str, bad: bool) -> None:
    assert bool(list(guesses(f"def act():\n    {line}\n"))) is bad


def test_there_are_calls_to_judge() -> None:
    assert calls()
