# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README and docs show: tasks with options that there are, commands that can be given, links
that lead somewhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.cli import main
from maglica.guest.cloud_init import user_data
from maglica.image import catalog
from support.documents import CHECKOUT, DOCUMENTS, block, blocks

PLUGINS = CHECKOUT / "plugins"
PREFIX = "maglica.cloud."
_LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([^)\s]*))?\)")


def documentation(path: Path) -> dict[str, Any]:
    """The DOCUMENTATION of a module, or of a fragment's class."""
    nodes = ast.walk(ast.parse(path.read_text()))
    (text,) = (
        node.value.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and [getattr(target, "id", "") for target in node.targets] == ["DOCUMENTATION"]
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def options(module: str) -> dict[str, Any]:
    """Those of a module with those of the fragments that it extends."""
    of_module = documentation(PLUGINS / "modules" / f"{module}.py")
    found = dict(of_module["options"])
    for name in of_module["extends_documentation_fragment"]:
        fragment, *_part = name.removeprefix(PREFIX).split(".")
        found |= documentation(PLUGINS / "doc_fragments" / f"{fragment}.py")["options"]
    return found


def tasks(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All tasks with a module of this collection, however deep they stand."""
    if isinstance(value, list):
        for each in value:
            yield from tasks(each)
    elif isinstance(value, dict):
        for key, below in value.items():
            if str(key).startswith(f"{PREFIX}maglica_"):
                yield key.removeprefix(PREFIX), below
            else:
                yield from tasks(below)


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tasks_have_options_that_there_are(document: str) -> None:
    for each in blocks(document, "yaml"):
        for module, said in tasks(each.value):
            there = options(module)
            assert said.keys() <= there.keys()
            for name, value in said.items():
                if there[name].get("choices"):
                    assert value in there[name]["choices"]
                if isinstance(value, dict):
                    assert value.keys() <= there[name]["suboptions"].keys()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_can_be_given(document: str) -> None:
    for each in blocks(document, "console"):
        for program, *words in each.commands:
            if program == "maglica":
                asked = main._parser().parse_args(words)
                assert hasattr(asked, "run") or hasattr(asked, "write")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    source = CHECKOUT / document
    # What is code is no link, nor is the text of one.
    for path, anchor in _LINK.findall(re.sub(r"`[^`\n]*`", "", source.read_text())):
        target = (source.parent / path) if path else source
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_an_error_names_options_that_there_are() -> None:
    told = re.findall(r"set the option (\w+)", " ".join(user_data._OURS.values()))
    assert told
    assert set(told) <= options("maglica_vm").keys()


def test_the_first_lesson_is_of_the_catalog() -> None:
    lesson = block("README.md", "# first.yml")
    (made, image), (cloned, vm) = tasks(lesson.value)
    assert (made, cloned) == ("maglica_image", "maglica_vm")
    entry = catalog.find(vm["image"])
    assert image == {"name": entry.name}
    assert f"ssh {entry.user}@" in lesson.text
