# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles say of their variables is all that is true of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from maglica.fleet import inventory
from maglica.fleet.snapshot import AskedHost, Snapshot
from support import role_variables

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = sorted((CHECKOUT / "roles").iterdir())
LIBRARY = CHECKOUT / "roles" / "library"
DESCRIBED = {name for role in ROLES for name in role_variables.options(role)}
MADE = set().union(*map(role_variables.made_by, ROLES))

one_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@one_role
def test_each_variable_that_is_read_is_described_and_no_other(role: Path) -> None:
    assert role_variables.read_by(role) - MADE == set(role_variables.options(role))


@one_role
def test_a_role_s_own_variables_bear_its_name_and_shared_ones_maglica_s(role: Path) -> None:
    for name in [*role_variables.options(role), *role_variables.defaults(role)]:
        assert name.startswith((f"{role.name}_", "maglica_"))


@one_role
def test_the_defaults_are_those_that_are_described(role: Path) -> None:
    defaults = {**role_variables.defaults(LIBRARY), **role_variables.defaults(role)}
    assert set(role_variables.defaults(role)) <= DESCRIBED
    for name, option in role_variables.options(role).items():
        if "default" in option and not name.startswith("maglica_host_"):
            assert defaults[name] == option["default"]


def test_what_is_shared_is_described_alike_and_has_its_default_in_one_place() -> None:
    described: dict[str, object] = {}
    for role in ROLES:
        for name, option in role_variables.options(role).items():
            if name.startswith("maglica_"):
                assert described.setdefault(name, option) == option
        if role != LIBRARY:
            assert not [n for n in role_variables.defaults(role) if n.startswith("maglica_")]


def test_what_the_inventory_shows_is_read_by_no_role() -> None:
    source = (CHECKOUT / "plugins" / "inventory" / "maglica.py").read_text()
    shown = set(re.findall(r"C\((maglica_\w+)\)", source.split("EXAMPLES")[0]))
    assert {"maglica_name", "maglica_uri", "maglica_weight", "maglica_address"} <= shown
    assert not shown & DESCRIBED


def test_the_inventory_s_groups_are_no_role_s() -> None:
    deploy = (CHECKOUT / "playbooks" / "deploy.yml").read_text()
    taken = set(re.findall(r"hosts: (maglica_\w+)", deploy))
    assert taken == {"maglica_client_worker", "maglica_hosts"}
    seen = Snapshot(asked=(AskedHost("kvm0", "a://"),))
    entries = inventory.entries(seen, [inventory.HOSTS], str)
    made = {f"maglica_{group}" for entry in entries for group in entry.groups}
    assert made == {"maglica_listed_hosts"}
    assert not made & taken
