# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains an adoption of many is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet import adoptable
from maglica.fleet.snapshot import OnHost, Snapshot
from maglica.libvirtd.host_reader import Reading
from maglica.libvirtd.hosts import Known, Unreachable
from maglica.model.errors import HostDown, NameInvalid, NameTaken
from maglica.model.vm import Domain

KVM0, KVM1 = "kvm0.example.jp", "kvm1.example.jp"
RUNS = Domain("old_web", "u0", KVM0, "running", True, made=False)
OFF = Domain("golden", "u1", KVM0, "stopped", False, made=False, is_image=True)
ADOPTED = Domain("old_db", "u2", KVM1, "stopped", False, made=False, adopted=True, tags=("db",))
MADE = Domain("vm0", "u3", KVM0, "running", True, made=True)
MADE_IMAGE = replace(OFF, name="debian-13", uuid="u4", made=True)
ALL = (RUNS, OFF, ADOPTED, MADE, MADE_IMAGE)


class Fleet:
    def __init__(self, *domains: Domain, silent: tuple[str, ...] = ()) -> None:
        self.domains, self.silent = domains, silent

    def snapshot(self, reading: Reading, on_host: OnHost) -> Snapshot:
        found = [
            each
            for each in self.domains
            if on_host(each.host) and reading.judge(each, Known.ALL) is True
        ]
        return Snapshot(
            vms=tuple(each for each in found if not each.is_image),
            images=tuple(each for each in found if each.is_image),
            unreachable=tuple(Unreachable(host, "gone") for host in self.silent if on_host(host)),
        )


def names(*filters: dict[str, Any], adopt: bool = True, fleet: Fleet | None = None) -> list[str]:
    found = adoptable.find(fleet or Fleet(*ALL), adoptable.filters_of(filters), adopt=adopt)
    return [each.name for each in found]


def test_those_of_others_and_those_that_were_adopted_before() -> None:
    assert names({"name": ["*"]}) == ["old_db", "old_web"]
    assert names({"name": ["old_*"]}, adopt=False) == ["old_db"]
    assert names({"host": [KVM0], "tag": None}) == ["old_web"]
    assert names({"tag": ["db"]}, {"state": ["running"]}) == ["old_db", "old_web"]


def test_an_image_only_where_that_is_said_and_never_one_that_maglica_made() -> None:
    assert names({"kind": ["image"]}) == ["golden"]
    assert names({"kind": ["image", "vm"], "host": [KVM0]}) == ["golden", "old_web"]


def test_what_can_not_be_told() -> None:
    silent = Fleet(*ALL, silent=(KVM1,))
    with pytest.raises(HostDown, match=f"cannot tell which vms meet the filters: host {KVM1}"):
        names({"name": ["*"]}, fleet=silent)
    # It is not asked.
    assert names({"host": [KVM0]}, fleet=silent) == ["old_web"]
    twice = Fleet(RUNS, replace(RUNS, host=KVM1))
    with pytest.raises(NameTaken, match=rf"old_web: {KVM0}, {KVM1}; say which one with host"):
        names({"name": ["old_web"]}, fleet=twice)
    assert names({"name": ["old_web"], "host": [KVM1]}, fleet=twice) == ["old_web"]


@pytest.mark.parametrize("options", [{}, {"name": None}, {"name": ["~("]}])
def test_what_is_no_filter(options: dict[str, Any]) -> None:
    with pytest.raises(NameInvalid, match="filters: "):
        adoptable.filters_of([options])
