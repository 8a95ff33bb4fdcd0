# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
from pathlib import Path

import pytest

_PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
_FOLDERS = ("action", "doc_fragments", "inventory", "modules", "plugin_utils")


@pytest.mark.parametrize(
    "name",
    [f"{folder}.{path.stem}" for folder in _FOLDERS for path in (_PLUGINS / folder).glob("*.py")],
)
def test_a_plugin_finds_what_it_imports(name: str) -> None:
    folder, _dot, plugin = name.partition(".")
    found = importlib.import_module(f"ansible_collections.maglica.cloud.plugins.{name}")
    assert found.__file__ is not None
    assert Path(found.__file__).resolve() == _PLUGINS / folder / f"{plugin}.py"
