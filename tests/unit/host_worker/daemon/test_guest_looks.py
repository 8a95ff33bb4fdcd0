# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests say is asked beside the report, of many and of those that hang."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from maglica.config.config import HostWorker
from maglica.host_worker.daemon import guest_looks
from maglica.host_worker.daemon.guest_looks import GuestLooks, Look
from maglica.libvirtd import address_sources, all_hosts, host_facts, host_reader
from maglica.libvirtd.address_sources import AskedDomain
from maglica.libvirtd.hosts import Host
from maglica.model.errors import HostDown
from maglica.model.reported import AddressSource
from maglica.model.vm import Domain, Interface, vm_uuid

HOST = "kvm0.example.jp"
MAC = "52:54:00:12:34:56"


def guest(name: str, agent: bool = True) -> AskedDomain:
    domain = Domain(name, vm_uuid(name), HOST, "running", True, interfaces=(Interface(MAC),))
    return AskedDomain(None, domain, agent=agent)


class World:
    """What sources say: ``addresses`` by source and name of the guest; who was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.addresses: dict[AddressSource, dict[str, tuple[str, ...]]] = {}
        self.statistics: dict[str, Any] = {}
        self.asked: list[tuple[AddressSource, str]] = []
        self.guests: dict[str, AskedDomain] = {}
        self.told = threading.Event()
        settings = HostWorker(HOST, tmp_path / "key")
        self.looks = GuestLooks(settings, self.told.set)
        monkeypatch.setattr(host_reader, "opened", self._opened)
        monkeypatch.setattr(host_facts, "read", lambda *_args, **_more: Host(HOST, "u", 3.0))
        monkeypatch.setattr(address_sources, "known_to", self._known_to)

    def have(self, *guests: AskedDomain) -> None:
        self.guests = {each.domain.uuid: each for each in guests}
        self.looks.know(self.guests)

    @contextlib.contextmanager
    def _opened(self, *_args: Any) -> Iterator[Any]:
        handles = (SimpleNamespace(UUIDString=lambda uuid=uuid: uuid) for uuid in self.guests)
        yield None, [(handle, self.statistics) for handle in handles]

    def _known_to(
        self, _session: Any, _connection: Any, guests: Sequence[AskedDomain], source: AddressSource
    ) -> list[AskedDomain]:
        self.asked += [(source, each.domain.name) for each in guests]
        assert all(each.handle is not None for each in guests)
        said = self.addresses.get(source, {})
        return [each.on((Interface(MAC, None, said.get(each.domain.name, ())),)) for each in guests]

    def look(self, is_regular: bool = True) -> Look:
        self.asked.clear()
        session: Any = SimpleNamespace(problems=("p",))
        self.looks.latest = self.looks.read(session, is_regular)
        return self.looks.latest

    def agents_asked(self) -> set[str]:
        return {name for source, name in self.asked if source is AddressSource.AGENT}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def test_what_each_source_says_is_known(world: World) -> None:
    world.have(guest("a"), guest("b"))
    world.addresses = {
        AddressSource.LEASE: {"a": ("192.0.2.7",)},
        AddressSource.AGENT: {"a": ("192.0.2.7", "2001:db8::7"), "b": ("192.0.2.8",)},
    }
    world.statistics = {"state.state": 1, "block.0.capacity": 7, "block.0.rd.bytes": 9}
    found = world.look()
    assert found.addresses == {
        vm_uuid("a"): {MAC: {"lease": ("192.0.2.7",), "agent": ("192.0.2.7", "2001:db8::7")}},
        vm_uuid("b"): {MAC: {"agent": ("192.0.2.8",)}},
    }
    # What changes all the time is nothing new.
    assert {*map(tuple, found.statistics.values())} == {("block.0.capacity",)}
    assert (found.host, found.problems) == (Host(HOST, "u", 0.0), ("p",))


def test_soon_after_a_change_only_agents_are_asked_whose_guests_have_no_address(
    world: World,
) -> None:
    world.have(guest("a"), guest("b"), guest("c", agent=False))
    world.addresses = {AddressSource.AGENT: {"a": ("192.0.2.7",)}}
    assert world.look() and world.agents_asked() == {"a", "b"}
    before = world.looks.latest.addresses
    assert world.look(is_regular=False).addresses == before
    assert world.agents_asked() == {"b"}
    world.look()
    assert world.agents_asked() == {"a", "b"}


def test_a_guest_that_is_off_or_gone_is_not_asked(world: World) -> None:
    off = guest("off")
    off = replace(off, domain=replace(off.domain, active=False))
    world.have(guest("a"), off)
    gone = world.guests.pop(vm_uuid("a"))
    world.looks.know({**world.guests, gone.domain.uuid: gone})
    assert world.look().addresses == {}
    assert world.asked == []


def test_a_guest_says_no_more_than_a_message_may_have(world: World) -> None:
    world.have(guest("a"))
    many = tuple(f"192.0.2.{number}" for number in range(200))
    world.addresses = {AddressSource.AGENT: {"a": many}}
    assert world.look().addresses[vm_uuid("a")][MAC]["agent"] == many[:64]


def test_what_was_found_stands_when_a_look_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.have(guest("a"))
    world.addresses = {AddressSource.LEASE: {"a": ("192.0.2.7",)}}
    before = world.look()

    def fail(*_args: object) -> None:
        raise HostDown("no answer within 20 s")

    monkeypatch.setattr(all_hosts, "one", fail)
    world.looks._look(True)
    assert world.looks.latest == replace(before, problems=("no answer within 20 s",))
    assert world.told.is_set()


def test_a_new_guest_is_looked_at_soon_and_then_ever_more_rarely(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    over = threading.Event()

    class Prodded:
        """Somebody is new at the second wait."""

        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) == 8:
                over.set()
                raise SystemExit
            return len(waits) == 2

        def clear(self) -> None:
            pass

        set = clear

    monkeypatch.setattr(guest_looks, "SETTLE", 0.0)
    looked: list[bool] = []
    monkeypatch.setattr(world.looks, "_prodded", Prodded())
    monkeypatch.setattr(world.looks, "_look", looked.append)
    with contextlib.suppress(SystemExit):
        world.looks._run()
    assert over.is_set()
    assert waits == [0.0, 30.0, 1.0, 2.0, 4.0, 8.0, 30.0, 30.0]
    assert looked == [True, False, False, False, False, True, True]
