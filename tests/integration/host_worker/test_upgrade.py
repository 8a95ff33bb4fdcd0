# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade of a cloud, one machine after the other, with 200 requests in flight.

The version before is this one without the features that it has more.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.config.config import Config, Library
from maglica.model.request import Request, State, new_request_id
from maglica.system import version
from maglica.verbs.clone import CloneSpec
from maglica.wire.client import Client
from support.client_worker import LIBRARY, Worker, eventually, is_ready
from support.host_worker import CHEAP_CLONE, HostWorker
from support.own_libvirtd import OwnLibvirtd
from support.reports import IMAGE

HOSTS = ("kvm0.example.jp", "kvm1.example.jp")
IN_FLIGHT = 200
WITHOUT = "WITHOUT_FEATURES"


@pytest.fixture
def old(
    tmp_path: Path, worker: Worker, shared_libvirtd: OwnLibvirtd
) -> Iterator[dict[str, HostWorker]]:
    """Two hosts and a client worker of the version before."""
    worker.environment = {
        "PYTHONPATH": os.pathsep.join(map(str, (CHEAP_CLONE, LIBRARY))),
        WITHOUT: "1",
    }
    worker.start()
    hosts = {
        name: HostWorker(tmp_path / name, worker, shared_libvirtd.uri, name=name) for name in HOSTS
    }
    for host in hosts.values():
        host.environment[WITHOUT] = "1"
        host.allow()
        host.start()
    yield hosts
    for host in hosts.values():
        host.close()


@pytest.fixture
def client(worker: Worker, old: dict[str, HostWorker]) -> Iterator[Client]:
    """A client of the new version, as the upgrade itself is."""
    worker.grant("client", "admin")
    (key,) = worker.folder.glob("client.admin.*.key")
    with Client(Config(worker.config_file, worker.where, library=Library(key))) as client:
        eventually(lambda: sum(is_ready(host) for host in client.hosts()) == len(HOSTS))
        yield client


def versions(client: Client) -> list[str | None]:
    """Return the versions that are told: the client worker's, and the hosts'."""
    client_worker, hosts = client.overview()
    own = client_worker.version if client_worker else None
    return [own, *(host.worker_version if host.alive else "down" for host in hosts)]


def test_a_host_of_the_new_version_works_with_the_client_worker_before(
    worker: Worker, old: dict[str, HostWorker], client: Client
) -> None:
    new = old[HOSTS[0]]
    del new.environment[WITHOUT]
    new.stop()
    seen = client.host(HOSTS[0]).seen
    new.start()
    eventually(lambda: (host := client.host(HOSTS[0])).seen > seen and is_ready(host))
    request = client.submit(CloneSpec("counts.example.jp", IMAGE, host=HOSTS[0]))
    assert client.wait(request.id, 240).state is State.DONE
    assert versions(client) == [None, None, None]
    for log in (worker.log, new.log):
        assert "message_invalid" not in log


def in_flight(client: Client, old: dict[str, HostWorker]) -> tuple[Request, ...]:
    """Hand in the requests, of which each host is at work at one."""
    names = [f"vm{number:03d}.example.jp" for number in range(IN_FLIGHT)]
    for host, name in zip(old.values(), names):
        host.block(name, "copied")
    specs = [
        CloneSpec(name, IMAGE, memory_mib=16, host=HOSTS[number % 2])
        for number, name in enumerate(names)
    ]
    requests = client.submit_all([Request(new_request_id(), spec) for spec in specs])
    eventually(lambda: all(host.drafts for host in old.values()))
    return requests


def test_of_200_requests_in_flight_none_is_lost(
    worker: Worker, old: dict[str, HostWorker], client: Client
) -> None:
    assert versions(client) == [None, None, None]
    requests = in_flight(client, old)
    now = version.own()

    del worker.environment[WITHOUT]
    worker.restart()
    eventually(lambda: versions(client) == [now, None, None])
    for name in HOSTS:
        assert client.host(name).worker_version is None

    # The one host lets the job that runs end; the other is killed at it, as when it takes too long.
    first, second = (old[name] for name in HOSTS)
    del first.environment[WITHOUT], second.environment[WITHOUT]
    assert first.process is not None
    first.process.send_signal(signal.SIGTERM)
    first.unblock("vm000.example.jp", "copied")
    assert first.stop() == 0
    assert "vm000.example.jp" in first.made
    first.start()
    eventually(lambda: versions(client) == [now, now, None])
    assert second.drafts == ["vm001.example.jp"]
    second.stop(signal.SIGKILL)
    second.unblock("vm001.example.jp", "copied")
    second.start()
    eventually(lambda: versions(client) == [now, now, now])

    ended = client.wait_all([request.id for request in requests], 240)
    assert Counter(request.state for request in ended.values()) == {State.DONE: IN_FLIGHT}
    assert sorted(first.made + second.made) == [request.name for request in requests]
    made = Counter(effect for host in old.values() for effect in host.effects if "made" in effect)
    assert set(made.values()) == {1}
    for log in (worker.log, first.log, second.log):
        assert "message_invalid" not in log
        assert "is invalid" not in log
