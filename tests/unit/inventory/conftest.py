# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin in this process, with what hosts would show."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display
from ansible_collections.maglica.cloud.plugins.inventory import maglica
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.snapshot import Snapshot

NAME = "maglica.cloud.maglica"


class Parsed:
    """What became of an inventory's file."""

    def __init__(self, inventory: InventoryData, warnings: list[str]) -> None:
        self.inventory = inventory
        self.warnings = warnings

    def variables(self, host: str) -> dict[str, Any]:
        return dict(self.inventory.hosts[host].vars)


Parse = Callable[..., Parsed]


@pytest.fixture(scope="session", autouse=True)
def known_options() -> None:
    """Let Ansible know the plugin's options, as its loader of collections would."""
    documented = yaml.safe_load(maglica.DOCUMENTATION)
    known = dict(documented["options"])
    for name in documented["extends_documentation_fragment"]:
        short = name.removeprefix("ansible.builtin.").removeprefix("maglica.cloud.")
        path, _dot, part = short.partition(".")
        package = "ansible" if name.startswith("ansible.") else "ansible_collections.maglica.cloud"
        module = importlib.import_module(f"{package}.plugins.doc_fragments.{path}")
        fragment = getattr(module.ModuleDocFragment, part.upper() or "DOCUMENTATION")
        # What the plugin says itself counts more.
        for option, said in yaml.safe_load(fragment)["options"].items():
            known[option] = {**said, **known.get(option, {})}
    constants.config.initialize_plugin_configuration_definitions("inventory", NAME, known)


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parse:
    """Return a function that parses the options (or a file's text) as the hosts show ``seen``."""

    def parsed(options: dict[str, Any] | str, seen: Snapshot | None = None) -> Parsed:
        path = tmp_path / "maglica.yml"
        if isinstance(options, dict):
            hosts = [{"name": "kvm0", "uri": "qemu+tcp://127.0.0.1:1/system"}]
            options = yaml.safe_dump({"plugin": NAME, "hosts": hosts, **options})
        path.write_text(options)
        warnings: list[str] = []
        monkeypatch.setattr(Display, "warning", lambda _self, text, **_more: warnings.append(text))
        plugin = maglica.InventoryModule()
        plugin._load_name = NAME
        plugin._redirected_names = [NAME]
        if seen is not None:
            monkeypatch.setattr(plugin, "_read", lambda *_asked: seen)
        inventory = InventoryData()
        plugin.parse(inventory, DataLoader(), str(path))
        return Parsed(inventory, warnings)

    return parsed
