# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones that fail on the way, on a host in memory: all that was made is undone."""

from __future__ import annotations

import re

import pytest
from maglica.disk import mounts
from maglica.disk.room import Room
from maglica.host_worker.job import undo
from maglica.host_worker.job.vm import clone
from maglica.model.errors import GuestUnreadable, MaglicaError, NoRoom, StorageFailed
from maglica.model.request import State
from support.fake_host import IMAGE, NAMES, FakeHost, assert_clean
from support.fake_libvirt import libvirtError


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("copy", NoRoom("disk full")),
        ("copy", StorageFailed("bad sector")),
        ("prepare", GuestUnreadable("no operating system")),
        ("keys", StorageFailed("no ssh-keygen")),
        ("customize", StorageFailed("no fork")),
    ],
)
def test_a_broken_step_fails_all_and_leaves_nothing(
    host: FakeHost, step: str, error: MaglicaError
) -> None:
    host.add_image()
    host.broken[step] = error
    requests = [host.request(name) for name in NAMES]
    for name, failed in zip(NAMES, host.run(*requests)):
        assert failed.failure.code == error.code
        head = f"cannot clone {IMAGE} as {name} on host kvm0.example.jp: "
        pool = "pool default has [0-9.]+ GiB free: " if isinstance(error, NoRoom) else ""
        advice = "; customize: none .*" if step == "prepare" else ""
        assert re.fullmatch(f"{head}{pool}{error}{advice}", failed.failure.text)
    assert_clean(host, *requests)


@pytest.mark.parametrize(
    ("call", "number", "code"),
    [
        ("createXML", 0, "storage_failed"),
        ("createXML", 2, "storage_failed"),
        ("defineXML", 0, "libvirt_failed"),
        ("create", 0, "libvirt_failed"),
    ],
)
def test_libvirt_refuses(host: FakeHost, call: str, number: int, code: str) -> None:
    host.add_image(["vda", "vdb"])
    called = host.connection.called
    calls = [0]

    def failing(name: str) -> None:
        called(name)
        if name == call:
            calls[0] += 1
            if calls[0] == number + 1:
                raise libvirtError("no, because of reasons")

    host.connection.called = failing
    request = host.request()
    (failed,) = host.run(request)
    assert failed.failure.code == code
    assert "no, because of reasons" in failed.failure.text
    assert_clean(host, request)


def test_one_member_s_failure_is_its_own(host: FakeHost) -> None:
    host.add_image()
    good, bad, full = (host.request(name) for name in NAMES)
    host.unlucky[bad.id] = GuestUnreadable("bad superblock")
    assert [done.state for done in host.run(good, bad, full)] == [
        State.DONE,
        State.FAILED,
        State.DONE,
    ]
    assert host.clones() == [NAMES[0], NAMES[2]]
    assert [name for name in host.volumes() if NAMES[1] in name] == []


def test_a_full_disk_is_told_from_a_hung_appliance(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image()
    request = host.request()
    host.unlucky[request.id] = GuestUnreadable("the appliance ended")
    real = mounts.room
    full = {"": False}
    monkeypatch.setattr(mounts, "room", lambda path: Room() if full[""] else real(path))
    customize = host.customize

    def fill(*values: object) -> object:
        full[""] = True
        return customize(*values)

    monkeypatch.setattr(clone, "customize", fill)
    (failed,) = host.run(request)
    assert failed.failure.code == "no_room"
    assert "pool default has 0.0 GiB free: the appliance ended" in failed.failure.text


def test_a_failure_that_can_not_be_undone_stays_open(host: FakeHost) -> None:
    host.add_image()
    request = host.request()
    host.unlucky[request.id] = GuestUnreadable("bad superblock")
    host.connection.failures["delete"] = [libvirtError("busy")]
    host.run(request)
    entry = host.context.journal.entry(request.id)
    assert (entry.request.state, entry.ending) == (State.RUNNING, State.FAILED)
    assert host.context.journal.intents(request.id) != ()
    undo.undo(request.id, host.context)
    assert_clean(host, request)
