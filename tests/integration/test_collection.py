# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that users install: complete, nothing too much, every plugin documented there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

PLUGIN_TYPES = ("module", "inventory")
# What a user gets, apart from the files that describe it.
CONTENT = {"changelogs", "docs", "meta", "playbooks", "plugins", "roles", "LICENSES"}
DESCRIPTION = {
    *("CHANGELOG.rst", "FILES.json", "MANIFEST.json", "README.md", "REUSE.toml", "SECURITY.md")
}


@pytest.fixture(scope="module")
def archive(checkout: Path) -> Path:
    subprocess.run(["make", "build"], cwd=checkout, check=True)
    (path,) = (checkout / "build").glob("maglica-cloud-*.tar.gz")
    return path


class Installed:
    """The collection on a path of its own, with nothing of the checkout in reach."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "ansible_collections" / "maglica" / "cloud"

    def ansible(self, *command: str) -> str:
        env = {name: os.environ[name] for name in os.environ if not name.startswith("ANSIBLE_")}
        env |= {"ANSIBLE_COLLECTIONS_PATH": str(self.root), "HOME": str(self.root)}
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run(
            [program, *command[1:]],
            cwd=self.root,
            env=env,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def documented(self, plugin_type: str) -> dict[str, Any]:
        """Return what ansible-doc says of each plugin of this type, by full name."""
        listing = self.ansible("ansible-doc", "--json", "-t", plugin_type, "-l", "maglica.cloud")
        names = sorted(json.loads(listing))
        text = self.ansible("ansible-doc", "--json", "-t", plugin_type, *names) if names else "{}"
        documented: dict[str, Any] = json.loads(text)
        return documented


@pytest.fixture(scope="module")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = Installed(tmp_path_factory.mktemp("collections"))
    place.ansible("ansible-galaxy", "collection", "install", "--offline", str(archive), "-p", ".")
    return place


def test_archive_holds_what_a_user_needs_and_no_more(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        tops = {name.split("/")[0] for name in tar.getnames()}
    assert tops <= CONTENT | DESCRIPTION
    assert {"meta", "plugins", "roles", "README.md", "CHANGELOG.rst", "LICENSES"} <= tops


@pytest.mark.parametrize("plugin_type", PLUGIN_TYPES)
def test_every_plugin_is_documented(installed: Installed, plugin_type: str) -> None:
    folder = installed.folder / "plugins" / plugin_type.replace("module", "modules")
    expected = {f"maglica.cloud.{path.stem}" for path in folder.glob("*.py")}
    documented = installed.documented(plugin_type)
    assert set(documented) == expected
    assert expected
    for name, sections in documented.items():
        assert sections["doc"]["short_description"], name
        assert sections["doc"]["options"], name
        assert sections["examples"].strip(), name
        if plugin_type == "module":
            assert sections["return"], name
            assert {"check_mode", "diff_mode"} <= set(sections["doc"]["attributes"]), name


def test_every_role_is_documented(installed: Installed) -> None:
    roles = {f"maglica.cloud.{path.name}" for path in (installed.folder / "roles").iterdir()}
    listing = json.loads(installed.ansible("ansible-doc", "--json", "-t", "role", "-l"))
    assert roles
    assert roles <= set(listing)


def test_action_group_names_every_module_that_asks_the_cloud(installed: Installed) -> None:
    runtime = yaml.safe_load((installed.folder / "meta" / "runtime.yml").read_text())
    modules = {path.stem for path in (installed.folder / "plugins" / "modules").glob("*.py")}
    modules -= {"maglica_network", "maglica_pool"}
    assert set(runtime["action_groups"]["maglica"]) == modules
