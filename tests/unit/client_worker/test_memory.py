# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts and clones commit of a host's memory, and which removals are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.known.reservations import SETTLE_SECONDS
from maglica.model.request import DomainSummary, Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from support.reports import clone, image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell

# A host's memory is 16384 MiB, of which 15872 may be committed.
MOST = 15872
LIMIT = "16384 MiB less memory_reserve 512 MiB, times memory_overcommit 1"


def domain(name: str, memory_mib: int, active: bool = False) -> DomainSummary:
    """A vm that Maglica has made."""
    facts = {"active": active, "made": True, "memory_mib": memory_mib, "disk_bytes": 0}
    return image(name=name, uuid=vm_uuid(name), **facts)


def act(kind: str, name: str, uuid: str = "", **fields: Any) -> dict[str, Any]:
    """The body of a submit about a vm."""
    spec = table.named(kind).spec(name, uuid or vm_uuid(name), **{"host": "kvm0", **fields})
    return {"id": new_request_id(), "kind": kind, "spec": spec}


def asked(cell: Cell, body: dict[str, Any]) -> Request:
    kind, answer = cell.ask("submit", **body)
    assert kind == "request", answer
    found: Request = answer["request"]
    return found


def refusal(cell: Cell, body: dict[str, Any], kind: str = "submit") -> str:
    answered, answer = cell.ask(kind, **body)
    assert answered == "error", answer
    return f"{answer['code']}: {answer['text']}"


def done(cell: Cell, request: Request) -> None:
    shown = vm(request) if request.kind == "clone" else None
    body = {"host": request.host, "id": request.id, "state": "done", "vm": shown}
    assert cell.ask("result", **body)[0] == "ok"


def committed(cell: Cell) -> int:
    return cell.context.hosts.candidates["kvm0"].reserved.committed_mib


def test_a_resize_beyond_what_a_host_can_ever_run_is_refused(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("vm0", 64), domain("vm1", 64, active=True)))
    for name in ("vm0", "vm1"):
        too_large = act("resize", name, memory_mib=MOST + 1)
        assert refusal(cell, too_large) == (
            f"no_room: cannot resize {name} on host kvm0: {MOST + 1} MiB of memory asked for,"
            f" {MOST} MiB may be committed there ({LIMIT}); ask for less, or raise the limit in the"
            " client worker's configuration"
        )
        asked(cell, act("resize", name, memory_mib=MOST))
        assert refusal(cell, act("resize", name, vcpus=9)) == (
            f"no_room: cannot resize {name} on host kvm0: 9 vCPUs asked for: with its 8 CPUs a vm"
            " can have 8 at most"
        )
        asked(cell, act("resize", name, vcpus=8))


def test_clones_are_refused_by_what_is_committed_however_much_is_free(cell: Cell) -> None:
    running = [domain("old", 8192, active=True)]
    cell.hello("kvm0", report(image(), *running, memory_free_mib=16000))
    cell.clone("vm0", memory_mib=7000)
    assert refusal(cell, clone("vm1", memory_mib=1024)) == (
        "no_room: cannot clone vm1 from debian12.original: host kvm0: 1024 MiB of memory needed,"
        f" 680 of 15872 MiB are left ({LIMIT})"
    )
    cell.clone("vm1", memory_mib=1024, start=False)
    cell.clone("vm2", memory_mib=680)


def test_a_start_is_refused_where_the_memory_is_committed(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("a", 8192), domain("b", 8192), memory_free_mib=16000))
    first = asked(cell, act("start", "a"))
    assert refusal(cell, act("start", "b")) == (
        "no_room: cannot start b on host kvm0: 8192 MiB of memory needed, 7680 of 15872 MiB are"
        f" left ({LIMIT}); stop other vms there, or raise the limit in the client worker's"
        " configuration"
    )
    # Until a report shows the vm on, also after the request has ended.
    done(cell, first)
    cell.hello("kvm0", report(image(), domain("a", 8192), domain("b", 8192)))
    assert committed(cell) == 8192
    assert refusal(cell, act("start", "b")).startswith("no_room")
    cell.hello("kvm0", report(image(), domain("a", 8192, active=True), domain("b", 8192)))
    assert committed(cell) == 0
    assert refusal(cell, act("start", "b")).startswith("no_room")
    # One that runs already, paused perhaps, takes no more.
    assert asked(cell, act("start", "a")).kind == "start"
    assert committed(cell) == 0


def test_a_start_counts_for_clones_and_clones_for_starts(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("a", 8000)))
    entries = [act("start", "a"), clone("vm0", memory_mib=8000)]
    text = refusal(cell, {"requests": entries}, "submit")
    assert text.startswith("no_room: nothing was done for 2 requests: cannot clone vm0")
    assert "7872 of 15872 MiB are left" in text
    assert committed(cell) == 0
    cell.clone("vm0", memory_mib=8000)
    assert "cannot start a on host kvm0" in refusal(cell, act("start", "a"))


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_start_that_was_not_done_frees_its_memory(cell: Cell, state: str) -> None:
    cell.hello("kvm0", report(image(), domain("a", 512)))
    request = asked(cell, act("start", "a"))
    assert committed(cell) == 512
    failure = {"code": "libvirt_failed", "text": "no"}
    cell.ask("result", host="kvm0", id=request.id, state=state, failure=failure)
    assert committed(cell) == 0


def test_a_restart_takes_memory_where_the_vm_is_off(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("a", MOST), domain("b", MOST, active=True)))
    restarted = asked(cell, act("restart", "b"))
    assert committed(cell) == 0
    done(cell, restarted)
    assert "cannot restart a on host kvm0" in refusal(cell, act("restart", "a"))
    done(cell, asked(cell, act("stop", "b")))
    cell.hello("kvm0", report(image(), domain("a", MOST), domain("b", MOST)))
    asked(cell, act("restart", "a"))
    assert committed(cell) == MOST


def test_a_vm_that_was_stopped_since_takes_no_memory(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("a", MOST), domain("b", MOST)))
    done(cell, asked(cell, act("start", "a")))
    assert refusal(cell, act("start", "b")).startswith("no_room")
    done(cell, asked(cell, act("stop", "a")))
    assert committed(cell) == 0
    # So it is after a restart of the client worker.
    cell.engine.stop()
    cell.reopen()
    assert committed(cell) == 0
    done(cell, asked(cell, act("start", "b")))
    cell.engine.stop()
    cell.reopen()
    assert committed(cell) == MOST
    # One that ended by itself, before any report has shown it.
    cell.now += SETTLE_SECONDS + 1
    cell.hello("kvm0", report(image(), domain("a", MOST), domain("b", MOST)))
    assert committed(cell) == 0


def test_the_size_that_a_vm_has_by_its_start_counts(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("a", 512), domain("b", 8192, active=True)))
    resize = act("resize", "a", memory_mib=15000)
    both = {"requests": [resize, act("start", "a")]}
    assert "15000 MiB of memory needed" in refusal(cell, both, "submit")
    # Under way, then done, and before a report tells.
    request = asked(cell, resize)
    assert "15000 MiB of memory needed" in refusal(cell, act("start", "a"))
    done(cell, request)
    assert "15000 MiB of memory needed" in refusal(cell, act("start", "a"))
    done(cell, asked(cell, act("resize", "a", memory_mib=1024)))
    asked(cell, act("start", "a"))
    assert committed(cell) == 1024


def test_the_start_of_a_vm_that_no_report_has_shown(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0", memory_mib=9000, start=False)
    done(cell, request)
    assert committed(cell) == 0
    start = asked(cell, act("start", "vm0", vm_uuid(request.id)))
    assert committed(cell) == 9000
    # Asked once more it commits no more.
    asked(cell, act("start", "vm0", vm_uuid(request.id)))
    assert committed(cell) == 9000
    assert refusal(cell, clone("vm1", memory_mib=9000)).startswith("no_room")
    done(cell, start)
    assert committed(cell) == 9000


def test_the_size_that_a_vm_was_given_before_a_report_has_shown_it(cell: Cell) -> None:
    shown = report(image(), domain("b", 8192, active=True))
    cell.hello("kvm0", shown)
    request = cell.clone("vm0", memory_mib=512, start=False)
    done(cell, request)
    uuid = vm_uuid(request.id)
    for older in (False, True):
        done(cell, asked(cell, act("resize", "vm0", uuid, memory_mib=15000)))
        if older:
            # Made before the vm was.
            cell.hello("kvm0", shown)
        assert "15000 MiB of memory needed" in refusal(cell, act("start", "vm0", uuid))
    done(cell, asked(cell, act("resize", "vm0", uuid, memory_mib=1024)))
    asked(cell, act("start", "vm0", uuid))
    assert committed(cell) == 1024


def test_a_name_is_kept_by_a_clone_and_not_by_a_start(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("vm0", 512)))
    cell.hello("kvm1")
    failure = {"code": "libvirt_failed", "text": "no"}
    start = asked(cell, act("start", "vm0"))
    cell.ask("result", host="kvm0", id=start.id, state="failed", failure=failure)
    cell.clone("vm1", host="kvm1")
    assert "name_taken" in refusal(cell, clone("vm1", memory_mib=64))
    assert "name_taken" in refusal(cell, clone("vm0"))


def test_a_name_is_free_again_once_a_vm_is_stopped_and_removed(cell: Cell) -> None:
    cell.hello("kvm0")
    request = cell.clone("vm0")
    uuid = vm_uuid(request.id)
    # The report that shows it comes before the result.
    cell.hello("kvm0", report(image(), made(request)))
    done(cell, request)
    done(cell, asked(cell, act("stop", "vm0", uuid)))
    remove = asked(cell, act("remove", "vm0", uuid))
    cell.hello("kvm0", report(image()))
    done(cell, remove)
    assert cell.clone("vm0").id != request.id


def test_of_two_domains_with_one_uuid_none_is_removed(cell: Cell) -> None:
    uuid = vm_uuid("vm0")
    cell.hello("kvm0", report(image(), domain("vm0", 512)))
    copied = image(name="renamed", uuid=uuid, made=True)
    cell.hello("kvm1", report(image(), copied))
    text = (
        "uuid_twice: cannot remove {}: hosts kvm0 and kvm1 each have a domain with its UUID"
        f" {uuid}, and they may use the same disks; undefine it (virsh undefine) on the host where"
        " it does not belong, then remove it"
    )
    remove, renamed = act("remove", "vm0"), act("remove", "renamed", uuid, host="kvm1")
    assert refusal(cell, remove) == text.format("vm0")
    assert refusal(cell, renamed) == text.format("renamed")
    entries = [act("remove", "other"), remove]
    assert refusal(cell, {"requests": entries}, "submit").startswith(
        "uuid_twice: nothing was done for 2"
    )
    # Also when the other host is down: its last report counts.
    cell.now += 16
    cell.hello("kvm0", report(image(), domain("vm0", 512)))
    cell.engine.tick()
    assert not cell.context.hosts.alive("kvm1")
    assert refusal(cell, remove) == text.format("vm0")
    assert asked(cell, act("stop", "vm0")).kind == "stop"
    cell.hello("kvm1", report(image()))
    assert asked(cell, remove).state is State.QUEUED


def test_a_vm_that_was_removed_before_a_restart_leaves_its_room_and_its_name(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("a", memory_mib=8192)
    done(cell, request)
    cell.engine.tick()
    cell.reopen()
    assert committed(cell) == 8192
    done(cell, asked(cell, act("remove", "a", vm_uuid(request.id))))
    cell.reopen()
    assert committed(cell) == 0
    assert cell.clone("a").id != request.id


def test_a_vm_that_was_resized_before_a_restart_starts_with_its_new_size(cell: Cell) -> None:
    cell.hello("kvm0", report(image(), domain("a", 1024)))
    cell.engine.tick()
    done(cell, asked(cell, act("resize", "a", memory_mib=4096)))
    cell.reopen()
    asked(cell, act("start", "a"))
    assert committed(cell) == 4096
