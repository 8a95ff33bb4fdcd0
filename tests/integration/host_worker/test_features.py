# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host workers with and without a feature of the protocol work with one client worker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.model.request import State
from support.client_worker import Worker, eventually, is_ready
from support.host_worker import HostWorker
from support.own_libvirtd import OwnLibvirtd

HOSTS = ("new.example.jp", "old.example.jp")
NAMES = {host: f"counts.{host}" for host in HOSTS}


@pytest.fixture
def hosts(
    tmp_path: Path, worker: Worker, shared_libvirtd: OwnLibvirtd
) -> Iterator[dict[str, HostWorker]]:
    made = {
        name: HostWorker(tmp_path / name, worker, shared_libvirtd.uri, name=name) for name in HOSTS
    }
    made["old.example.jp"].environment["WITHOUT_FEATURES"] = "1"
    worker.start()
    for host in made.values():
        host.allow()
        host.start()
    yield made
    for host in made.values():
        host.close()


def test_a_host_worker_without_a_feature_and_one_with_it(
    worker: Worker, hosts: dict[str, HostWorker]
) -> None:
    client = worker.peer("client", "alice")
    eventually(
        lambda: sum(is_ready(host) for host in client.ask("hosts")[1]["hosts"]) == len(HOSTS)
    )
    for host, name in NAMES.items():
        hosts[host].block(name, "copied")
    requests = {host: client.clone(name, host=host) for host, name in NAMES.items()}

    def told(host: str) -> tuple[str | None, int | None, int | None]:
        now = client.request("status", id=requests[host].id)
        return now.phase, now.done, now.total

    # The helper names no feature: it is told of none.
    eventually(lambda: told("new.example.jp")[0] == told("old.example.jp")[0] == "copy")
    known = {"features": ["progress_counts"]}

    def counted(host: str) -> tuple[int | None, int | None]:
        (now,) = client.ask("status", ids=[requests[host].id], **known)[1]["requests"]
        return now.done, now.total

    eventually(lambda: counted("new.example.jp") == (3, 9))
    assert counted("old.example.jp") == (None, None)
    assert told("new.example.jp") == ("copy", None, None)
    # What is published again, with the next hello or by a cancel, has no field that it refuses.
    hosts["old.example.jp"].restart(signal.SIGKILL)
    for host, name in NAMES.items():
        hosts[host].unblock(name, "copied")
    for host, request in requests.items():
        ended = eventually(
            lambda request=request: (
                (now := client.request("status", id=request.id)).state.ended and now
            )
        )
        assert ended.state is State.DONE, ended
        assert "is invalid" not in hosts[host].log
        assert "message_invalid" not in hosts[host].log
