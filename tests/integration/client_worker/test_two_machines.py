# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two machines with the key of one host, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maglica.wire import features
from support.client_worker import Host, Peer, Worker, eventually
from support.reports import image, report, vm

FIRST, SECOND = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NAMED = "two processes at 127.0.0.1 speak with the key of host kvm0.example.jp"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """One that does not take long to believe that a machine is gone."""
    worker = Worker(tmp_path, host_timeout=4)
    try:
        worker.start()
        yield worker
    finally:
        worker.close()


class Machine:
    """A machine that speaks as a host: its worker's process, and what it has heard."""

    def __init__(self, host: Host, instance: str) -> None:
        self.host = host
        self.instance = instance

    def hello(self, **more: Any) -> tuple[str, dict[str, Any]]:
        worker = {"version": "0.1.0", "instance": self.instance}
        body = {"host": self.host.name, "report": report(image()), "requests": [], "worker": worker}
        return self.host.ask("hello", **body, features=list(features.OWN), **more)


def problem(client: Peer) -> str | None:
    kind, answer = client.ask("hosts")
    assert kind == "hosts"
    found: str | None = answer["hosts"][0].report.problem
    return found


def test_they_are_noticed_and_asked_nothing_until_one_is_gone(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    first = Machine(kvm0, FIRST)
    second = Machine(Host(worker, kvm0.name, kvm0.keys), SECOND)
    for machine in (first, second):
        machine.host.listen()
    assert first.hello()[0] == "welcome"
    ran = client.clone("vm0.example.jp")
    assert first.host.heard_request().id == ran.id
    # What this one says is taken for a restart's: its first word can't tell.
    assert second.hello()[0] == "welcome"
    kind, answer = first.hello()
    assert (kind, answer["code"]) == ("error", "access_denied")
    assert answer["text"].startswith(NAMED)

    def both() -> None:
        for machine in (second, first):
            assert machine.hello()[1]["text"] == answer["text"]

    both()
    assert problem(client) == answer["text"]
    both()
    refused = client.clone_error("vm1.example.jp")
    assert "host_down" in refused and NAMED in refused
    both()
    # Neither is believed what it says of a request, and it is kept for later.
    kind, body = second.host.tell("result", ran, state="cancelled")
    assert (kind, body["code"]) == ("error", "access_denied")
    assert worker.log.count(NAMED) == 1

    # The second one gets a key of its own.
    second.host.disconnect()
    second.host.deaf()
    eventually(lambda: first.hello()[0] == "welcome")
    assert "host kvm0.example.jp is one machine again" in worker.log
    assert problem(client) is None
    assert first.host.tell("result", ran, state="done", vm=vm(ran))[0] == "ok"
    assert client.request("status", id=ran.id).state.value == "done"
    assert client.clone("vm1.example.jp").host == kvm0.name


def test_a_host_that_is_started_anew_or_cut_off_is_one(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    for number in range(20):
        machine = Machine(kvm0, f"{number:08}-1111-4111-8111-111111111111")
        for _turn in range(2):
            assert machine.hello()[0] == "welcome"
            # Its connection is lost and comes back.
            kvm0.disconnect()
    assert problem(client) is None
