# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones whose process is killed at any step, on a host in memory, and what the next one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from maglica.host_worker.job import undo
from maglica.model.errors import HostDown
from maglica.model.request import Customize, Request, State
from maglica.model.vm import vm_uuid
from support.fake_host import FakeHost, Killed, assert_clean
from support.fake_libvirt import VIR_FROM_RPC, libvirtError
from support.seeded_host import Guests


def resume(host: FakeHost, request: Request) -> None:
    """Do what the next job does before it runs a request again."""
    host.kill_at = 0
    host.context = host.new_context()
    defined = [domain.UUIDString() for domain in host.connection.domains]
    if vm_uuid(request.id) not in defined:
        undo.undo(request.id, host.context)


def all_events(host: FakeHost, **spec: Any) -> int:
    """Return how many events a whole clone has, from a run that is thrown away."""
    request = host.request("probe.example.jp", image="probe.original", **spec)
    host.add_image(["vda", "vdb"], name="probe.original")
    before = host.events
    host.run(request)
    events = host.events - before
    host.connection.domains.clear()
    for base in host.context.journal.bases():
        host.context.journal.remove_base(base.id)
    for pool in host.connection.pools:
        pool.refresh()
        for name in pool.listVolumes():
            Path(pool.path / name).unlink()
        pool.refresh()
    return events


@pytest.mark.parametrize("ends", ["run again", "undone"])
@pytest.mark.parametrize(("way", "files"), [("offline", 4), ("cloud-init", 5), ("none", 4)])
def test_killed_at_every_step(
    host: FakeHost, guests: Guests, way: str, files: int, ends: str
) -> None:
    spec = {"customize": Customize(way)}
    total = all_events(host, **spec)
    assert total > 12
    for number in range(1, total + 1):
        host.add_image(["vda", "vdb"])
        request = host.request(**spec)
        host.events, host.kill_at = 0, number
        with pytest.raises(Killed):
            host.run(request)
        resume(host, request)
        if ends == "undone":
            undo.undo(request.id, host.context)
            undo.undo(request.id, host.context)
            assert_clean(host, request)
        else:
            (done,) = host.run(request)
            assert done.state is State.DONE, (number, done.failure)
            assert host.clones() == ["vm0.example.jp"]
            assert len(host.volumes()) == files, number
            assert host.context.journal.intents(request.id) == ()
        _sweep(host)


def test_libvirtd_gone_at_every_call_fails_nothing(host: FakeHost) -> None:
    real = host.connection.called
    calls = gone_at = 0

    def called(name: str) -> None:
        nonlocal calls
        calls += 1
        if calls == gone_at:
            raise libvirtError("client socket is closed", code=1, domain=VIR_FROM_RPC)
        real(name)

    host.connection.called = called
    host.add_image(["vda", "vdb"])
    host.run(host.request())
    total = calls - 1
    assert total > 10
    for number in range(1, total + 1):
        _sweep(host)
        host.add_image(["vda", "vdb"])
        request = host.request()
        calls, gone_at = 0, number
        with pytest.raises(HostDown, match="client socket is closed"):
            host.run(request)
        assert host.state(request) is State.RUNNING
        resume(host, request)
        (done,) = host.run(request)
        assert done.state is State.DONE, (number, done.failure)
        assert len(host.volumes()) == 4, number
        assert host.context.journal.intents(request.id) == ()


def _sweep(host: FakeHost) -> None:
    host.connection.domains.clear()
    for name in host.volumes():
        (host.pool / name).unlink()
    host.connection.pools[0].refresh()
    for base in host.context.journal.bases():
        host.context.journal.remove_base(base.id)


def test_a_lost_journal_makes_nothing_twice(host: FakeHost) -> None:
    host.add_image()
    request = host.request()
    host.run(request)
    volumes = host.volumes()
    host.context.journal.close()
    for path in host.state_dir.glob("host_worker.sqlite*"):
        path.unlink()
    host.context = host.new_context()
    host.context.journal.accept([request])
    (done,) = host.run(request)
    assert done.state is State.DONE
    assert host.clones() == ["vm0.example.jp"]
    assert host.volumes() == volumes
