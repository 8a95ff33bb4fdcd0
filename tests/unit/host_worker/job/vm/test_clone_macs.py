# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No clone gets a MAC address that another domain of its host has."""

from __future__ import annotations

import uuid

import pytest
from maglica.domain import nics
from maglica.host_worker import macs
from maglica.host_worker.job import main
from maglica.model.request import Nic, Request, State
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from support.fake_host import NAMES, FakeHost, assert_clean
from support.fake_libvirt import Connection, Domain

HOST = "kvm0.example.jp"
MAC = "52:54:00:00:00:01"


def add(host: FakeHost, name: str, mac: str) -> Domain:
    return host.connection.defineXML(
        f"<domain type='qemu'><name>{name}</name><uuid>{uuid.uuid4()}</uuid>"
        "<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>"
        f"<interface type='bridge'><mac address='{mac.upper()}'/></interface></devices></domain>"
    )


def mac_of(request: Request) -> str:
    assert request.state is State.DONE, request.failure
    (nic,) = request.vm.interfaces
    return nic.mac


@pytest.fixture
def asked(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that were made about any domain."""
    found: list[str] = []

    def spy(of: type, name: str) -> None:
        real = getattr(of, name)

        def call(*values: object) -> object:
            found.append(name)
            return real(*values)

        monkeypatch.setattr(of, name, call)

    spy(Connection, "listAllDomains")
    for name in ("XMLDesc", "isActive", "isPersistent"):
        spy(Domain, name)
    return found


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "read"])
def test_one_that_is_made_up(host: FakeHost, runs: bool, known: bool) -> None:
    host.add_image()
    request = host.request()
    usual = nics.mac_address(request.id, 0)
    other = add(host, "other", usual)
    if runs:
        other.create()
    if known:
        macs.write(host.state_dir, {usual})
    (done,) = host.run(request)
    assert mac_of(done) == nics.mac_address(request.id, 0, [usual]) != usual


def test_those_of_a_batch(host: FakeHost) -> None:
    host.add_image()
    second = host.request(NAMES[1])
    first = host.request(NAMES[0], interfaces=(Nic("default", mac=nics.mac_address(second.id, 0)),))
    made = host.run(second, first)
    assert len({mac_of(done) for done in made}) == 2


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_one_that_is_named(host: FakeHost, runs: bool) -> None:
    host.add_image()
    other = add(host, "other", MAC)
    if runs:
        other.create()
    # What was true when it was last looked at.
    macs.write(host.state_dir, ())
    request = host.request(interfaces=(Nic("default", mac=MAC),))
    (failed,) = host.run(request)
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.text) == (
        "name_taken",
        "cannot clone debian.original as vm0.example.jp on host kvm0.example.jp: other has the MAC"
        f" address {MAC}: choose another",
    )
    host.connection.domains.remove(other)
    assert_clean(host, request)
    # Whoever had it is gone.
    macs.write(host.state_dir, {MAC})
    again = host.request(interfaces=(Nic("default", mac=MAC),))
    assert mac_of(host.run(again)[0]) == MAC


def test_one_that_is_named_twice(host: FakeHost) -> None:
    host.add_image()
    nic = (Nic("default", mac=MAC),)
    first, second = host.run(*(host.request(name, interfaces=nic) for name in NAMES[:2]))
    assert mac_of(first) == MAC
    assert second.failure is not None
    assert f"{NAMES[0]} has the MAC address {MAC}" in second.failure.text


def test_one_that_is_named_for_several_at_once_is_the_first_ones(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[2]))
    nic = (Nic("default", mac=MAC),)
    first, second = (host.request(name, interfaces=nic) for name in NAMES[:2])
    # Each in a job of its own, the last one before the first has its vm.
    there = host.connection.domains[-1]
    third = host.asked(AddInterfaceSpec(NAMES[2], there.UUIDString(), HOST, MAC, "default"))
    (refused,) = host.run(second)
    main.run([third.id], host.context)
    for each in (refused, host.now(third)):
        assert each.failure is not None
        assert f"{NAMES[0]} has the MAC address {MAC}: choose another" in each.failure.text
    (done,) = host.run(first)
    assert mac_of(done) == MAC


def test_it_costs_no_call_for_each_domain(host: FakeHost, asked: list[str]) -> None:
    host.add_image()
    host.run(host.request(NAMES[0]))
    macs.write(host.state_dir, {MAC})
    counts = []
    for name, others in ((NAMES[1], 0), (NAMES[2], 20)):
        for number in range(others):
            add(host, f"other{number}", f"52:54:00:00:01:{number:02x}")
        asked.clear()
        (done,) = host.run(host.request(name))
        assert done.state is State.DONE, done.failure
        counts.append(len(asked))
    assert counts[0] == counts[1]
    assert "listAllDomains" not in asked


def test_rubbish_where_they_are_noted_is_none(host: FakeHost) -> None:
    (host.state_dir / macs.FILE).write_bytes(b"\xff")
    assert macs.read(host.state_dir) is None
