# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports beside what their owners, and other requests, do with the same image meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from maglica.disk import mounts
from maglica.disk.room import MIB, Room
from maglica.host_worker import channel
from maglica.host_worker.job import main
from maglica.host_worker.job.image import add_image, arrival, base, made, unused_bases
from maglica.host_worker.job.vm import clone
from maglica.host_worker.journal.journal import Journal
from maglica.model.errors import GuestUnreadable, NotOwn, StorageFailed
from maglica.model.request import Request, State
from maglica.system import local_file, locks
from support.fake_import import NAME, Imports, kill
from support.fake_libvirt import Connection, Domain


def test_what_was_changed_while_the_file_came_is_not_thrown_away(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imports.run(imports.asked()).state is State.DONE
    domain, (_kept, own) = imports.domain(), imports.files()
    come = arrival.Arrival.bring

    def changed(*arguments: Any) -> Any:
        domain.xml = domain.xml.replace(f'file="{own}"', 'file="/srv/mine.qcow2"')
        return come(*arguments)

    monkeypatch.setattr(arrival.Arrival, "bring", changed)
    request = imports.asked(b"b")
    failed = imports.run(request)
    assert failed.failure is not None
    assert "its definition has other disks" in failed.failure.text
    assert "/srv/mine.qcow2" in domain.xml
    assert imports.run(request).state is State.FAILED
    assert len(imports.record().versions) == 1


@pytest.mark.parametrize("killed_in", ["the base", "the end"])
def test_the_old_version_stays_as_long_as_the_new_one_may_be_undone(
    imports: Imports, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    imports.run(imports.asked())
    unused_bases.release(imports.domain().name(), imports.host.context)
    before, files = imports.domain().xml, imports.files()
    request = imports.asked(b"b")
    with monkeypatch.context() as planted:
        if killed_in == "the base":
            planted.setattr(add_image.ways, "chosen", kill)
        else:
            planted.setattr(unused_bases, "tidy", kill)
        imports.killed(request)
    # As other requests do at their end.
    made.tidy(imports.host.context)
    assert imports.cancelled(request).state is State.CANCELLED
    assert imports.domain().xml == before
    assert all(path.exists() for path in files)


def test_one_that_is_run_again_takes_no_newer_version_s_place(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has made was replaced between its job's death at the very end and the next one."""
    first, second = imports.asked(b"a"), imports.asked(b"b")
    with monkeypatch.context() as planted:
        planted.setattr(Journal, "end", lambda *_asked, **_more: kill())
        imports.killed(first)
    assert imports.run(second).state is State.DONE
    files = imports.files()
    assert imports.run(first).state is State.DONE
    assert imports.record().newest.request == second.id
    assert all(path.exists() for path in imports.files()[-2:])
    assert imports.files()[-2:] == files[-2:]
    assert imports.host.context.journal.announced() == ()


def defined(imports: Imports, monkeypatch: pytest.MonkeyPatch, mark: bytes = b"a") -> Request:
    """Return a request that was killed as soon as the image had its version."""
    request = imports.asked(mark)
    with monkeypatch.context() as planted:
        planted.setattr(add_image.ways, "chosen", kill)
        imports.killed(request)
    return request


def test_nothing_is_undone_that_was_just_started(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = defined(imports, monkeypatch)
    domain, release = imports.domain(), unused_bases.release_held

    def started(*arguments: Any) -> int:
        domain.create()
        return release(*arguments)

    monkeypatch.setattr(unused_bases, "release_held", started)
    imports.cancelled(request)
    assert (domain.active, imports.domain()) == (True, domain)
    assert all(path.exists() for path in imports.files())


@pytest.mark.parametrize("is_first", [True, False])
def test_one_that_has_got_another_name_since_is_left(
    imports: Imports, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    if not is_first:
        imports.run(imports.asked(b"a"))
    request = defined(imports, monkeypatch, b"b")
    imports.rename("mine")
    domain, before = imports.domain("mine"), imports.domain("mine").xml
    files = list(imports.host.pool.iterdir())
    assert imports.cancelled(request).state is State.CANCELLED
    assert (imports.domain("mine"), domain.xml) == (domain, before)
    assert all(path.exists() for path in files)
    assert imports.host.context.journal.intents(request.id) == ()


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_that_is_started_as_its_definition_is_taken_back_keeps_it(
    imports: Imports, monkeypatch: pytest.MonkeyPatch, is_first: bool, dies: bool
) -> None:
    if not is_first:
        imports.run(imports.asked(b"a"))
    request = defined(imports, monkeypatch, b"b")
    domain, before, files = imports.domain(), imports.domain().xml, imports.files()
    define = Connection.defineXML

    def undefine(domain: Domain, _flags: int) -> None:
        domain.active, domain.persistent, domain.live = True, False, before

    def defined_anew(connection: Connection, xml: str) -> Domain:
        domain.active, domain.live = True, before
        return define(connection, xml)

    with monkeypatch.context() as planted:
        planted.setattr(Domain, "undefineFlags", undefine)
        planted.setattr(Connection, "defineXML", defined_anew)
        imports.host.context.journal.cancel(request.id)
        if dies:
            planted.setattr(made, "keep_if_started", kill)
            imports.killed(request)
        else:
            imports.run(request)
    assert imports.run(request).state is State.CANCELLED
    assert (domain.active, domain.persistent, domain.xml) == (True, True, before)
    assert all(path.exists() for path in files)
    assert imports.host.context.journal.intents(request.id) == ()


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("meanwhile", ["nothing", "the old one runs", "edited"])
def test_what_was_taken_back_is_given_back_to_none_that_does_not_run_with_it(
    imports: Imports, monkeypatch: pytest.MonkeyPatch, is_first: bool, meanwhile: str
) -> None:
    """The undo has died as soon as it had taken the definition."""
    if not is_first:
        imports.run(imports.asked(b"a"))
    old = None if is_first else imports.domain().xml
    request = defined(imports, monkeypatch, b"b")
    domain, new = imports.domain(), imports.domain().xml
    imports.host.context.journal.cancel(request.id)
    with monkeypatch.context() as planted:
        planted.setattr(made, "keep_if_started", kill)
        imports.killed(request)
    if meanwhile == "edited":
        # It was started in that moment, and its user has given it a definition since.
        old = new.replace("</name>", "</name><title>mine</title>")
        imports.host.connection.defineXML(old)
        domain = imports.domain()
        domain.active, domain.live = True, new
    elif meanwhile != "nothing" and not is_first:
        domain.active, domain.live = True, old
    assert imports.run(request).state is State.CANCELLED
    assert [each.xml for each in imports.host.connection.domains if each.name() == NAME] == (
        [] if old is None else [old]
    )


def test_no_clone_begins_to_build_upon_what_is_being_taken_back(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = imports.host
    imports.run(imports.asked())
    request = defined(imports, monkeypatch, b"b")
    asked, check = host.request(image=NAME), made.check_replaceable
    waits = threading.Event()

    def heard(line: channel.Said) -> None:
        if isinstance(line, channel.Alive):
            waits.set()

    def work() -> None:
        context = host.new_context()
        context._say = heard
        clone.run([asked], context)
        context.journal.close()

    job = threading.Thread(target=work)

    def beside(*arguments: Any) -> None:
        job.start()
        while job.is_alive() and not waits.wait(0.01):
            pass
        check(*arguments)

    monkeypatch.setattr(made, "check_replaceable", beside)
    assert imports.cancelled(request).state is State.CANCELLED
    job.join()
    assert host.state(asked) is State.FAILED
    assert len(imports.record().versions) == 1
    assert host.volumes() == sorted(path.name for path in imports.files())
    assert host.context.journal.bases() == ()


@pytest.mark.parametrize("meanwhile", ["its pool is away", "another request has brought it"])
def test_what_has_come_does_not_stay_where_nobody_goes_on_with_it(
    imports: Imports, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, meanwhile: str
) -> None:
    host, request = imports.host, imports.asked()

    def half(_path: str, target: Path, *_arguments: Any) -> None:
        target.write_bytes(b"half of it")
        kill()

    with monkeypatch.context() as planted:
        planted.setattr(local_file, "copy", half)
        imports.killed(request)
    (part,) = host.pool.iterdir()
    if meanwhile == "its pool is away":
        host.connection.pools[0].active = False
        host.connection.add_pool("second", tmp_path / "second")
    else:
        assert imports.run(imports.asked()).state is State.DONE
    assert imports.run(request).state is State.DONE
    assert not part.exists()


def test_the_old_version_goes_where_the_new_one_has_no_base(imports: Imports) -> None:
    imports.run(imports.asked())
    old = imports.files()
    imports.host.broken["prepare"] = GuestUnreadable("there is no system")
    assert imports.run(imports.asked(b"b")).state is State.DONE
    assert not any(path.exists() for path in old)
    assert len(imports.record().versions) == 1


def test_an_image_that_can_not_be_tidied_holds_up_no_other(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports.run(imports.asked())
    old = imports.files()
    with monkeypatch.context() as planted:
        planted.setattr(made, "tidy", lambda _context: None)
        imports.run(imports.asked(b"b"))
    (image,) = made._with_old_versions(imports.host.context)
    tidied = made._tidy
    failures = [StorageFailed("its pool is not active"), NotOwn("by no name that Maglica gives")]

    def tidy(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        tidied(*arguments)

    monkeypatch.setattr(made, "_with_old_versions", lambda _context: [image] * 3)
    monkeypatch.setattr(made, "_tidy", tidy)
    made.tidy(imports.host.context)
    assert not any(path.exists() for path in old)
    assert len(imports.record().versions) == 1


def test_one_that_waits_for_clones_says_that_it_lives(imports: Imports) -> None:
    """They may take longer than a job may be silent."""
    imports.run(imports.asked())
    request, context = imports.asked(b"b"), imports.host.context
    said: Counter[type] = Counter()
    lives = threading.Event()

    def heard(line: channel.Said) -> None:
        said[type(line)] += 1
        if said[channel.Begun] >= 4 and isinstance(line, channel.Alive):
            lives.set()

    def work() -> None:
        other = imports.host.new_context()
        other._say = heard
        main.run([request.id], other)
        other.journal.close()

    lock = locks.Lock(base.lock_of(imports.domain().UUIDString(), context))
    lock.share()
    job = threading.Thread(target=work)
    job.start()
    try:
        assert lives.wait(30)
    finally:
        lock.close()
        job.join()
    assert imports.host.now(request).state is State.DONE


def test_a_copy_ends_before_it_takes_the_room_of_others(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write to the pool, too, since it was seen that there is room."""
    host = imports.host

    def copy(_chain: Any, _target: str, alive: Any, _overlay: Any = None) -> None:
        monkeypatch.setattr(mounts, "room", lambda _path: Room(1 << 40, 63 * MIB))
        alive()

    monkeypatch.setattr(arrival.strangers.chain, "is_plain", lambda _layer: False)
    monkeypatch.setattr("maglica.disk.qemu_img.copy", copy)
    request = imports.asked()
    failed = imports.run(request)
    assert failed.failure is not None
    assert (failed.failure.code, "which others need" in failed.failure.text) == ("no_room", True)
    assert imports.run(request).state is State.FAILED
    assert host.volumes() == []
