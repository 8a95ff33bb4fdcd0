# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests from their submission to their end; all processes and sockets are real."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import libvirt
import pytest
from maglica.domain import definition
from maglica.guest.network.families import INSPECTION
from maglica.host_worker.journal.looks import Look
from maglica.model.request import State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.release import ReleaseSpec
from support.client_worker import Worker, eventually
from support.host_worker import HOST, Cell, HostWorker
from support.own_libvirtd import MADE, OwnLibvirtd
from support.reports import IMAGE
from support.vm_verbs import ALSO, ON_A_VM

NAME = "vm0.example.jp"
UUID = vm_uuid("r")


@pytest.fixture
def domain(cell: Cell) -> object:
    """A domain that Maglica made, shut off."""
    made = cell.libvirtd.define(NAME, UUID, MADE)
    yield made
    for each in cell.libvirtd.connection.listAllDomains():
        if each.UUIDString() == UUID:
            if each.isActive():
                each.destroy()
            each.undefine()


def act(cell: Cell, kind: str, **fields: object) -> object:
    spec = table.named(kind).spec(**{"name": NAME, "uuid": UUID, "host": HOST, **fields})
    return cell.client.request("submit", id=new_request_id(), kind=kind, spec=spec)


def test_a_host_says_what_it_is(cell: Cell) -> None:
    cell.start()
    report = cell.status().report
    assert (report.cpus, report.memory_total_mib, report.problem) == (16, 3072, None)
    assert report.networks == ("default",)
    assert [pool.name for pool in report.pools] == ["default-pool"]
    (image,) = [each for each in report.domains if each.is_image]
    assert (image.name, image.vcpus, image.memory_mib) == (IMAGE, 1, 64)


def test_a_copy_that_others_made_of_a_vm_is_theirs(cell: Cell) -> None:
    cell.libvirtd.define("copy.example.jp", "a1b2c3d4-0000-4000-8000-000000000003", MADE)
    cell.start()
    try:
        told = {each.name: each for each in cell.status().report.domains}
        assert not told["copy.example.jp"].made
        assert told["copy.example.jp"].is_image
    finally:
        cell.libvirtd.connection.lookupByName("copy.example.jp").undefine()


def test_a_domain_that_is_defined_or_started_is_told_at_once(cell: Cell) -> None:
    cell.host.options["hello_interval"] = 60
    cell.start()

    def told() -> dict:
        return {each.name: each for each in cell.status().report.domains}

    domain = cell.libvirtd.define(NAME, UUID)
    try:
        eventually(lambda: NAME in told())
        assert told()[NAME].is_image
        domain.create()
        eventually(lambda: told()[NAME].active)
        domain.destroy()
        cell.libvirtd.define(NAME, UUID, MADE)
        eventually(lambda: told()[NAME].made)
    finally:
        domain.undefine()
    eventually(lambda: NAME not in told())


def test_a_clone_is_done(cell: Cell) -> None:
    cell.start()
    request = cell.ended(cell.clone(NAME))
    assert request.state is State.DONE
    assert (request.vm.name, request.vm.uuid, request.vm.host) == (NAME, vm_uuid(request.id), HOST)
    assert [phase.name for phase in request.phases] == ["copy", "define"]
    assert cell.host.effects == [f"made {NAME}"]
    entry = cell.host.journal().entry(request.id)
    eventually(lambda: cell.host.journal().entry(request.id).reported)
    assert entry.request.state is State.DONE
    assert cell.host.journal().intents(request.id) == ()


def test_a_clone_fails_with_its_cause_and_leaves_nothing(cell: Cell) -> None:
    cell.start()
    request = cell.ended(cell.clone("fail0.example.jp"))
    assert request.state is State.FAILED
    assert request.failure.code == "storage_failed"
    assert request.failure.text == f"cannot clone fail0.example.jp on host {HOST}: no"
    assert (cell.host.made, cell.host.drafts) == ([], [])


def test_a_result_that_is_refused_ends_the_request_all_the_same(cell: Cell) -> None:
    """As of a vm that others rename between its definition and its start."""
    cell.start()
    request = cell.ended(cell.clone("renamed.example.jp"))
    assert (request.state, request.vm) == (State.FAILED, None)
    assert "but the client worker refuses its result" in request.failure.text
    assert "result.vm: not renamed.example.jp on host" in cell.host.log


def test_secrets_are_wiped_when_a_request_ends(cell: Cell) -> None:
    cell.start()
    secret = "$6$saltsalt$" + "h" * 86
    request = cell.ended(cell.clone(NAME, root_password=secret))
    assert request.state is State.DONE
    cell.host.stop()
    kept = b"".join(path.read_bytes() for path in cell.host.state.rglob("*") if path.is_file())
    assert secret.encode() not in kept
    assert secret not in cell.host.log


def test_progress_is_told_while_it_runs(cell: Cell) -> None:
    cell.host.block(NAME, "copied")
    cell.host.block(NAME, "defined")
    cell.start()
    request = cell.clone(NAME)
    cell.wait_phase(request, "copy")
    cell.host.unblock(NAME, "copied")
    cell.wait_phase(request, "define")
    assert [phase.name for phase in cell.now(request).phases] == ["copy"]
    cell.host.unblock(NAME, "defined")
    assert cell.ended(request).state is State.DONE


def test_waiting_clones_of_one_image_share_a_job(cell: Cell) -> None:
    cell.host.block("vm1.example.jp", "copied")
    cell.start()
    first = cell.clone("vm1.example.jp")
    cell.wait_phase(first, "copy")
    names = [f"vm{number}.example.jp" for number in range(2, 6)]
    cell.host.block(names[-1], "done")
    others = [cell.clone(name) for name in names]
    cell.host.unblock("vm1.example.jp", "copied")
    eventually(lambda: cell.host.made == ["vm1.example.jp", *names])
    # The last one's job has not ended, and still all the others' results are there.
    assert all(cell.ended(request).state is State.DONE for request in (first, *others))
    cell.host.unblock(names[-1], "done")


def test_quick_work_does_not_wait_for_clones(cell: Cell, domain: object) -> None:
    cell.host.block("vm1.example.jp", "copied")
    cell.start()
    clone = cell.clone("vm1.example.jp")
    cell.wait_phase(clone, "copy")
    assert cell.ended(act(cell, "start")).state is State.DONE
    assert not cell.now(clone).state.ended


def test_start_stop_start(cell: Cell, domain: object) -> None:
    cell.start()
    for kind, state in (("start", "running"), ("start", "running"), ("stop", "stopped")):
        request = cell.ended(act(cell, kind))
        assert request.state is State.DONE, request.failure
        assert request.vm.state == state
        assert domain.isActive() == (state == "running")
    assert cell.ended(act(cell, "stop")).vm.state == "stopped"


def test_resize_changes_the_definition_and_tells_of_the_restart(cell: Cell, domain: object) -> None:
    cell.start()
    request = cell.ended(act(cell, "resize", vcpus=3, memory_mib=128))
    assert request.state is State.DONE, request.failure
    assert (request.vm.vcpus, request.vm.memory_mib) == (3, 128)
    assert request.vm.restart_needed is False
    domain.create()
    # It has fewer at once, and more than it was started with from its next start on.
    fewer = cell.ended(act(cell, "resize", vcpus=2))
    assert (fewer.vm.vcpus, fewer.vm.memory_mib, fewer.vm.restart_needed) == (2, 128, False)
    more = cell.ended(act(cell, "resize", vcpus=4))
    assert (more.vm.vcpus, more.vm.memory_mib) == (4, 128)
    assert more.vm.restart_needed is True
    same = cell.ended(act(cell, "resize", vcpus=4, memory_mib=128))
    assert same.vm.restart_needed is True


@pytest.mark.parametrize("runs", [True, False])
def test_tags_are_changed_in_place(cell: Cell, domain: object, runs: bool) -> None:
    cell.start()
    if runs:
        domain.create()
    for tags in (("web", "a"), ("a", "role:db"), ("a", "role:db"), ()):
        request = cell.ended(act(cell, "tag", tags=tags))
        assert request.state is State.DONE, request.failure
        assert request.vm.tags == tuple(sorted(tags))
        assert request.vm.restart_needed is False
        for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
            made = definition.describe(domain.XMLDesc(flags)).made
            assert (made.tags, made.image, made.who) == (tuple(sorted(tags)), IMAGE, "alice")
    assert domain.isActive() == runs


def test_remove(cell: Cell, domain: object) -> None:
    cell.start()
    domain.create()
    removed = cell.ended(act(cell, "remove"))
    assert removed.state is State.DONE, removed.failure
    assert (removed.vm.state, removed.vm.image) == ("absent", IMAGE)
    assert NAME not in [each.name() for each in cell.libvirtd.connection.listAllDomains()]
    again = cell.ended(act(cell, "remove"))
    assert again.vm.state == "absent"


@pytest.mark.parametrize(
    ("kind", "changes", "text"),
    [
        (
            "start",
            {"uuid": "a1b2c3d4-0000-4000-8000-000000000009"},
            f"cannot start {NAME} on host {HOST}: no vm has the UUID"
            " a1b2c3d4-0000-4000-8000-000000000009; it was removed, or another has taken its place",
        ),
        (
            "stop",
            {"name": "vm9.example.jp"},
            f"the vm with the UUID {UUID} on host {HOST} is named {NAME!r}, not 'vm9.example.jp'",
        ),
    ],
)
def test_the_vm_that_is_meant_must_be_there(
    cell: Cell, domain: object, kind: str, changes: dict, text: str
) -> None:
    cell.start()
    request = cell.ended(act(cell, kind, **changes))
    assert (request.failure.code, request.failure.text) == ("vm_unknown", text)


def test_what_maglica_did_not_make_is_left_alone(cell: Cell) -> None:
    """An original image, and a vm of others that runs."""
    changes = {
        "resize": {"vcpus": 9},
        "tag": {"tags": ("web",)},
        "set": {"protected": True},
        **ALSO,
    }
    kinds = [verb.name for verb in ON_A_VM]
    image = cell.libvirtd.connection.lookupByName(IMAGE)
    other = cell.libvirtd.define("other.example.jp", vm_uuid("other"))
    other.create()
    try:
        number, before = other.ID(), [each.XMLDesc() for each in (image, other)]
        cell.start()
        for each in (image, other):
            pinned = {"name": each.name(), "uuid": each.UUIDString()}
            asked = {kind: act(cell, kind, **pinned, **changes.get(kind, {})) for kind in kinds}
            for request in asked.values():
                failure = cell.ended(request).failure
                assert (failure.code, failure.text.partition(";")[0]) == (
                    "vm_unknown",
                    f"cannot {table.act(request)} on host {HOST}: Maglica did not make it",
                )
        assert not image.isActive()
        found = cell.libvirtd.connection.lookupByName(other.name())
        assert (found.ID(), found.state()[0]) == (number, libvirt.VIR_DOMAIN_RUNNING)
        assert [each.XMLDesc() for each in (image, other)] == before
    finally:
        other.destroy()
        other.undefine()


def test_what_libvirt_tells_nobody_of_is_reported_soon(
    tmp_path: Path, worker: Worker, shared_libvirtd: OwnLibvirtd
) -> None:
    uuid = shared_libvirtd.connection.lookupByName(IMAGE).UUIDString()
    host = HostWorker(tmp_path / "rare", worker, shared_libvirtd.uri, hello_interval=60)
    host.allow()
    with closing(host.journal()) as journal:
        journal.looks.keep(Look(uuid, IMAGE, "v", INSPECTION, 1.0), [uuid])
    cell = Cell(worker, host, shared_libvirtd)
    try:
        cell.start()
        eventually(lambda: cell.status().report.looks)
        spec = ReleaseSpec(IMAGE, HOST)
        asked = cell.client.request("submit", id=new_request_id(), kind="release", spec=spec)
        assert cell.ended(asked).state is State.DONE
        eventually(lambda: not cell.status().report.looks)
    finally:
        cell.close()
        host.close()


def test_requests_about_one_vm_run_in_order(cell: Cell) -> None:
    cell.host.block(NAME, "copied")
    cell.start()
    clone = cell.clone(NAME)
    cell.wait_phase(clone, "copy")
    start = act(cell, "start", uuid=vm_uuid(clone.id))
    eventually(lambda: cell.now(start).state is State.RUNNING)
    assert not cell.now(clone).state.ended
    cell.host.unblock(NAME, "copied")
    assert cell.ended(clone).state is State.DONE
    # The cheap clone makes no domain; that it was looked for after the clone is what counts.
    assert cell.ended(start).failure.code == "vm_unknown"


def test_what_is_delivered_twice_runs_once(cell: Cell) -> None:
    cell.host.block(NAME, "copied")
    cell.start()
    request = cell.clone(NAME)
    cell.wait_phase(request, "copy")
    # With another journal the host is asked again at its hello, and the subscription comes anew.
    cell.worker.restart()
    cell.wait_alive()
    cell.host.unblock(NAME, "copied")
    assert cell.ended(request).state is State.DONE
    cell.worker.restart()
    cell.wait_alive()
    assert cell.host.effects == [f"made {NAME}"]
