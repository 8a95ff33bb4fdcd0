# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of what distributions call what the roles need, as the roles read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from support import role_variables
from support.role_templates import ROLES

OWN = role_variables.own(ROLES / "library")
TABLE: dict[str, dict[str, Any]] = OWN["library_systems"]
USING = ("library", "host_worker", "libvirtd")
CHOICE = yaml.safe_load((ROLES / "library" / "tasks" / "system.yml").read_text())[1]
# What ansible.builtin.setup says of each.
FACTS = {
    "debian-12": ("Debian", "12.11", "12", "Debian"),
    "debian-13": ("Debian", "13.2", "13", "Debian"),
    "ubuntu-24.04": ("Ubuntu", "24.04", "24", "Debian"),
    "el-9": ("Rocky", "9.5", "9", "RedHat"),
    "el-10": ("AlmaLinux", "10.1", "10", "RedHat"),
}
OTHERS = {
    "fedora": ("Fedora", "42", "42", "RedHat"),
    "ubuntu-22.04": ("Ubuntu", "22.04", "22", "Debian"),
    "mint": ("Linux Mint", "22", "22", "Debian"),
}


def chosen(facts: tuple[str, str, str, str], system: str = "") -> str:
    names = ("distribution", "distribution_version", "distribution_major_version", "os_family")
    known = {"ansible_facts": dict(zip(names, facts)), "maglica_system": system}
    return jinja2.Template(CHOICE["vars"]["library_found"]).render(**known).strip()


@pytest.mark.parametrize("system", TABLE)
def test_a_distribution_is_known_by_its_facts(system: str) -> None:
    assert chosen(FACTS[system]) == system


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_not_taken_for_it_unless_it_is_said(name: str) -> None:
    assert chosen(OTHERS[name]) not in TABLE
    assert chosen(OTHERS[name], "debian-13") == "debian-13"


def test_who_is_told_that_a_distribution_is_unknown_is_told_what_to_set() -> None:
    said = CHOICE["block"][0]["ansible.builtin.assert"]["fail_msg"]
    variables = ["maglica_system", *(f"{role}_packages" for role in USING)]
    described = {name for role in USING for name in role_variables.options(ROLES / role)}
    for name in variables:
        assert name in said
        assert name in described


@pytest.mark.parametrize("role", USING)
@pytest.mark.parametrize("system", TABLE)
def test_each_role_has_packages_on_each_distribution(system: str, role: str) -> None:
    tasks = "\n".join(path.read_text() for path in (ROLES / role / "tasks").glob("*.yml"))
    wanted = jinja2.Template(re.findall(r'library_wanted_packages: "([^"]*)"', tasks)[0])
    known = {"library_system": TABLE[system], "libvirtd_sasl_users": []}
    packages = yaml.safe_load(wanted.render(known))
    assert packages == TABLE[system]["packages"][role]
    given = yaml.safe_load(wanted.render({**known, "libvirtd_sasl_users": [{"name": "reader"}]}))
    more = TABLE[system]["packages"]["sasl"] if role == "libvirtd" else []
    assert given == packages + more
    for names in (packages, more):
        assert all(isinstance(name, str) and re.fullmatch(r"[a-z0-9.+-]+", name) for name in names)
        assert names == sorted(set(names))


@pytest.mark.parametrize("system", TABLE)
def test_its_daemons_and_its_package_manager_are_known(system: str) -> None:
    entry = TABLE[system]
    daemons = OWN["library_daemons"][entry["daemons"]]
    units = [*daemons["sockets"], daemons["tcp_socket"], daemons["tls_socket"]]
    assert all(re.fullmatch(r"[a-z-]+[.]socket", unit) for unit in units)
    assert Path(daemons["configuration"]).stem == daemons["service"].partition(".")[0]
    assert entry["manager"] in OWN["library_queries"]
    installing = (ROLES / "library" / "tasks" / "packages.yml").read_text()
    assert f"ansible.builtin.{entry['manager']}:" in installing


def test_what_was_tried_is_what_the_readme_says() -> None:
    rows = re.findall(
        r"^[|] (.*) [|] (run|rendered, never run) [|]$",
        (ROLES / "libvirtd" / "README.md").read_text(),
        re.MULTILINE,
    )
    said = {name: word == "run" for names, word in rows for name in names.split(", ")}
    assert said == {entry["name"]: entry["tried"] for entry in TABLE.values()}
