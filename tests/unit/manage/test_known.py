# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is decided by what is not known of a vm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.group import Whole
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import want
from maglica.model.errors import LibvirtFailed
from maglica.model.vm import Domain
from maglica.verbs.set import SetSpec
from maglica.verbs.table import Presence

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
MADE = Domain(NAME, "u", HOST, "stopped", False, made=True, image="debian12", vcpus=1)
ADOPTED = replace(MADE, made=False, adopted=True, image=None)


def plan(there: Domain, **said: Any) -> Plan:
    return decide(want(NAME, **said), Found((there,), ()), None)


def test_that_its_host_starts_it_may_be_unknown() -> None:
    for asked in (False, True):
        assert plan(MADE, autostart=asked).steps == (SetSpec(NAME, "u", HOST, autostart=asked),)
    assert plan(replace(MADE, autostart=False), autostart=False).steps == ()


@pytest.mark.parametrize("there", [MADE, ADOPTED])
@pytest.mark.parametrize(
    "said",
    [
        {"tags": ["a"]},
        {"tags": []},
        {"disks": [{"name": "data", "size_mib": 1}]},
        {"cdrom": {"path": "/a.iso"}},
        {"disk_size_mib": 20480},
        {"interfaces": [{"network": "lan"}]},
    ],
)
def test_of_one_that_was_reported_in_part_nothing_is_guessed(
    there: Domain, said: dict[str, Any]
) -> None:
    cut = replace(there, is_cut=True)
    text = f"^the .+ of vm {NAME} on host {HOST} .+ not known: it is too long to be reported; with"
    with pytest.raises(LibvirtFailed, match=text):
        plan(cut, **said)
    for tags in ((), ("other",)):
        with pytest.raises(LibvirtFailed, match=text):
            Whole("shop", [want(NAME, tags=tags)] if tags else []).among({}, Found((cut,), ()))
    assert plan(cut, vcpus=2).changed
    assert not plan(cut, interfaces=[], disks=[]).changed


def test_what_goes_with_an_adopted_one_is_named_or_it_stays() -> None:
    cut = replace(ADOPTED, is_cut=True)
    with pytest.raises(LibvirtFailed, match=f"^the foreign disks of vm {NAME} on host {HOST} are"):
        plan(cut, state=Presence.ABSENT, remove_foreign_disks=True)
    assert plan(replace(MADE, is_cut=True), state=Presence.ABSENT).changed
