# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/configuration.md has all options, as the code has them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from maglica.config import config, values

PATH = Path(__file__).resolve().parents[2] / "tools" / "configuration.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_not_stale(tool: ModuleType) -> None:
    assert tool.FILE.read_text(encoding="utf-8") == tool.text(), "run make configuration"


def test_every_option_is_described_and_no_other(tool: ModuleType) -> None:
    sections = {*config._SECTIONS, "host NAME", "image NAME"}
    assert tool.MEANINGS.keys() == sections
    for section, meanings in tool.MEANINGS.items():
        assert sorted(meanings) == sorted(name for name, _kind, _default in tool.options(section))


def test_each_section_is_shown_where_its_role_writes_it(tool: ModuleType) -> None:
    shown = re.findall(r"^##+ \[?(.+?)\]?$", tool.text(), re.MULTILINE)
    files = {file for file, _role, _about in tool.FILES}
    assert {each for each in shown if each not in files} == tool.MEANINGS.keys()


def test_every_variable_of_a_template_is_a_role_s(tool: ModuleType, checkout: Path) -> None:
    for file, role, _about in tool.FILES:
        for variables in tool._template(file, role).values():
            specs = (checkout / "roles" / role / "meta" / "argument_specs.yml").read_text()
            for variable in variables.values():
                assert f"{variable}:" in specs


def test_what_a_reader_with_limits_takes(tool: ModuleType) -> None:
    assert tool.kind(values.whole(3, 7)) == "a whole number from 3 to 7"
    assert tool.kind(values.one_of(("a", "b"))) == "`a`, `b`"
