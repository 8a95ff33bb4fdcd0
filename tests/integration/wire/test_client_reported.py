# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts have reported, asked for page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from maglica.config.config import Config, Library
from maglica.model.errors import MessageInvalid
from maglica.model.plain import lean
from maglica.model.reported import ReportedDomain, ReportedHost
from maglica.model.request import DomainSummary
from maglica.model.vm import vm_uuid
from maglica.wire.client import Client
from maglica.wire.frames import Message
from support.client_worker import Worker
from support.reports import report
from support.wire_server import WireServer

HOSTS = ("kvm0.example.jp", "kvm1.example.jp")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


def domain(name: str, host: str = HOSTS[0], **fields: Any) -> ReportedDomain:
    return ReportedDomain(name, vm_uuid(name), host, "running", True, **fields)


def answer(end: str | None, *found: Any) -> Message:
    hosts = [lean(each) for each in found if isinstance(each, ReportedHost)]
    domains = [lean(each) for each in found if isinstance(each, ReportedDomain)]
    return Message("domains", {"hosts": hosts, "domains": domains, "next": end})


def test_an_observer_gets_all_from_a_real_client_worker(worker: Worker) -> None:
    worker.grant("observer", "bob")
    (key,) = worker.folder.glob("observer.bob.*.key")
    shown = {
        host: [domain(f"vm{number}-{host}", host, who="w" * 150) for number in range(200)]
        for host in HOSTS
    }
    for name in HOSTS:
        host = worker.host(name)
        there = (
            DomainSummary(each.name, each.uuid, True, True, True, 1, 512) for each in shown[name]
        )
        told = [lean(each) for each in shown[name]]
        body = {"report": report(*there), "requests": [], "shown": told}
        assert host.ask("hello", host=name, **body)[0] == "welcome"
    config = Config(worker.config_file, worker.where, library=Library(key))
    with Client(config) as client:
        hosts, domains = client.reported()
        assert [(host.name, host.alive) for host in hosts] == [(name, True) for name in HOSTS]
        every = [*shown[HOSTS[0]], *shown[HOSTS[1]]]
        assert list(domains) == sorted(every, key=lambda each: each.uuid)
        hosts, domains = client.reported([HOSTS[1]], [each.name for each in every[:3]])
        assert ([host.name for host in hosts], domains) == ([HOSTS[1]], ())
        # More than one question may name.
        many = [each.name for each in every] + [f"none{number}" for number in range(900)]
        hosts, domains = client.reported([HOSTS[0]], many)
        assert {each.name for each in domains} == {each.name for each in shown[HOSTS[0]]}


def test_a_domain_that_moves_meanwhile_is_there_once(server: WireServer) -> None:
    moved = domain("a")
    twice = domain("b")
    answers = {
        "": answer("x", ReportedHost(HOSTS[0], True), ReportedHost(HOSTS[1], True), moved),
        "x": answer(None, replace(moved, host=HOSTS[1]), twice, replace(twice, host=HOSTS[1])),
    }
    server.answer = lambda message: answers[message.body.get("after", "")]
    with Client(server.config()) as client:
        hosts, domains = client.reported()
    assert [host.name for host in hosts] == list(HOSTS)
    found = sorted((each.name, each.host) for each in domains)
    # Two of one UUID are two.
    assert found == [("a", HOSTS[1]), ("b", HOSTS[0]), ("b", HOSTS[1])]


def test_an_answer_that_goes_on_where_it_began_does_not_go_on_for_ever(server: WireServer) -> None:
    server.answer = lambda _message: answer("x", domain("a"))
    with Client(server.config()) as client, pytest.raises(MessageInvalid, match="where it began"):
        client.reported()
