# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles show of a set comes in the same order each time; Ansible's set filters have none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"


def task(file: str, name: str) -> dict[str, Any]:
    tasks = yaml.safe_load((ROLES / file).read_text())
    return dict(next(each for each in tasks if each["name"] == name))


@pytest.fixture
def jinja() -> jinja2.Environment:
    """Templates with a union that has another order than what it is made of."""

    def union(one: Iterable[str], other: Iterable[str]) -> list[str]:
        return sorted({*one, *other}, reverse=True)

    made = jinja2.Environment(autoescape=False)  # noqa: S701
    made.filters |= {"union": union, "unique": lambda each: list(dict.fromkeys(each))}
    return made


def test_machines_are_shown_in_the_order_of_the_inventory(jinja: jinja2.Environment) -> None:
    shown = task("library/tasks/status.yml", "Remember what is wrong with machines")["loop"]
    groups = {"maglica_client_worker": ["client"], "maglica_hosts": ["kvm0", "client", "kvm1"]}
    assert jinja.from_string(shown).render(groups=groups) == "['client', 'kvm0', 'kvm1']"


def test_files_of_others_are_named_in_order(jinja: jinja2.Environment) -> None:
    (asserted,) = (
        each
        for each in yaml.safe_load((ROLES / "libvirtd/tasks/tls.yml").read_text())
        if "libvirtd_theirs" in each.get("vars", ())
    )
    told = jinja.from_string(asserted["ansible.builtin.assert"]["fail_msg"])
    said = told.render(libvirtd_theirs=["/b", "/a"], libvirtd_daemons={}, inventory_hostname="kvm0")
    assert "(/a, /b)" in said
