# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vm's size is changed at once where that is possible, and by a restart where that is allowed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.host_worker.job.vm import resize
from maglica.host_worker.journal.intents import Effect
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs.resize import ResizeSpec
from support.fake_host import FakeHost, Killed
from support.fake_libvirt import CRASHED, PAUSED, RUNNING, SUSPENDED, Domain, libvirtError

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
UUID = vm_uuid("r")
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata><maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'/></metadata>
  <memory unit='MiB'>{{most}}</memory>
  <currentMemory unit='MiB'>{{memory}}</currentMemory>
  <vcpu current='{{vcpus}}'>{{most_vcpus}}</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices/>
</domain>"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resize, "DEAF_SECONDS", 0.01)


def running(
    host: FakeHost, memory: int = 512, most: int = 512, vcpus: int = 2, most_vcpus: int = 2
) -> Domain:
    sizes = {"memory": memory, "most": most, "vcpus": vcpus, "most_vcpus": most_vcpus}
    domain = host.connection.defineXML(XML.format(**sizes))
    domain.create()
    return domain


def asked(host: FakeHost, **fields: object) -> Request:
    return host.asked(ResizeSpec(NAME, UUID, HOST, **fields))


def resized(host: FakeHost, **fields: object) -> Request:
    request = asked(host, **fields)
    main.run([request.id], host.context)
    return host.now(request)


def sizes(xml: str) -> dict[str, str | None]:
    root = ET.fromstring(xml)
    vcpu = root.find("vcpu")
    assert vcpu is not None
    return {
        "most": root.findtext("memory"),
        "memory": root.findtext("currentMemory"),
        "most_vcpus": vcpu.text,
        "vcpus": vcpu.get("current"),
    }


def test_a_guest_gets_at_once_what_it_can_have(host: FakeHost) -> None:
    domain = running(host, memory=512, most=2048, vcpus=1, most_vcpus=4)
    ended = resized(host, vcpus=3, memory_mib=1024)
    assert ended.failure is None
    assert (ended.vm.vcpus, ended.vm.memory_mib, ended.vm.restart_needed) == (3, 1024, False)
    assert domain.runs == 1
    # What it may be given while it runs stays.
    kept = {"most": "2048", "memory": "1024", "most_vcpus": "4", "vcpus": "3"}
    assert sizes(domain.xml) == kept
    assert sizes(domain.live) == {**kept, "memory": str(1024 << 10)}


def test_one_that_gives_memory_back_needs_no_restart(host: FakeHost) -> None:
    domain = running(host, memory=512, most=512)
    ended = resized(host, memory_mib=256)
    assert (ended.vm.memory_mib, ended.vm.restart_needed) == (256, False)
    assert (sizes(domain.xml)["most"], sizes(domain.live)["most"]) == ("256", "512")


def test_one_that_does_not_obey_has_it_after_a_restart(host: FakeHost) -> None:
    domain = running(host, memory=512, most=512)
    domain.obeys = False
    ended = resized(host, memory_mib=256)
    assert (ended.vm.memory_mib, ended.vm.restart_needed) == (256, True)
    again = resized(host, memory_mib=256, allow_restart=True)
    assert (again.vm.memory_mib, again.vm.restart_needed) == (256, False)
    assert domain.runs == 2


def test_what_no_restart_would_change_is_an_error(host: FakeHost) -> None:
    domain = running(host, memory=1024, most=2048)
    domain.obeys = False
    ended = resized(host, memory_mib=512, allow_restart=True)
    assert ended.failure.text == (
        f"cannot resize {NAME} on host {HOST}: its guest has 1024 MiB and does not obey its memory"
        " balloon, which a restart would not change: it needs the driver virtio_balloon"
    )
    assert domain.runs == 1


@pytest.mark.parametrize(
    ("guest", "state"), [(PAUSED, "paused"), (SUSPENDED, "suspended"), (CRASHED, "crashed")]
)
def test_one_that_stands_still_neither_takes_memory_nor_gives_it_back(
    host: FakeHost, guest: int, state: str
) -> None:
    domain = running(host, memory=1024, most=2048)
    domain.guest, domain.obeys = guest, False
    ended = resized(host, memory_mib=512)
    assert ended.failure.text == (
        f"cannot resize {NAME} on host {HOST}: its guest has 1024 MiB and is {state}, so that it"
        " neither takes memory nor gives it back: have it run first"
    )
    assert (domain.runs, domain.guest) == (1, guest)
    domain.guest, domain.obeys = RUNNING, True
    again = resized(host, memory_mib=512)
    assert (again.failure, again.vm.memory_mib, again.vm.restart_needed) == (None, 512, False)


@pytest.mark.parametrize("allow_restart", [False, True])
def test_more_than_it_can_have_takes_a_restart(host: FakeHost, allow_restart: bool) -> None:
    domain = running(host)
    ended = resized(host, vcpus=4, memory_mib=1024, allow_restart=allow_restart)
    assert (ended.vm.vcpus, ended.vm.memory_mib) == (4, 1024)
    assert ended.vm.restart_needed is not allow_restart
    assert domain.runs == (2 if allow_restart else 1)
    assert host.context.journal.intents(ended.id) == ()


def test_what_libvirt_refuses_takes_a_restart(host: FakeHost) -> None:
    running(host)
    host.connection.failures["setVcpusFlags"] = [libvirtError("vcpu 0 can't be unplugged")]
    ended = resized(host, vcpus=1)
    assert (ended.state, ended.vm.vcpus, ended.vm.restart_needed) == (State.DONE, 1, True)


def test_one_that_has_its_size_is_not_restarted(host: FakeHost) -> None:
    domain = running(host)
    ended = resized(host, vcpus=2, memory_mib=512, allow_restart=True)
    assert (ended.state, domain.runs) == (State.DONE, 1)
    assert "setMemoryFlags" not in host.connection.calls


def test_what_is_left_for_the_next_start_is_done_by_one_that_names_no_size(host: FakeHost) -> None:
    domain = running(host)
    assert resized(host, vcpus=4).vm.restart_needed
    ended = resized(host, allow_restart=True)
    assert (ended.vm.vcpus, ended.vm.restart_needed, domain.runs) == (4, False, 2)


def test_a_job_that_dies_anywhere_is_brought_to_its_end_by_the_next(host: FakeHost) -> None:
    for kill_at in range(1, 100):
        domain = running(host)
        runs = domain.runs
        request = asked(host, vcpus=4, memory_mib=256, allow_restart=True)
        if not host.dies(request, kill_at):
            break
        ended = host.next_job(request)
        assert (ended.state, ended.failure) == (State.DONE, None)
        assert (ended.vm.vcpus, ended.vm.memory_mib, ended.vm.restart_needed) == (4, 256, False)
        assert (domain.active, domain.runs) == (True, runs + 1), kill_at
        assert not host.context.journal.intents(request.id)
        domain.undefineFlags(0)
    assert kill_at > 5


def test_one_that_is_cancelled_in_its_restart_runs_again(host: FakeHost) -> None:
    domain = running(host)
    request = asked(host, vcpus=4, allow_restart=True)
    host.connection.failures["create"] = [Killed]
    with pytest.raises(Killed):
        main.run([request.id], host.context)
    assert not domain.active
    assert host.context.journal.intents(request.id)[-1].kind is Effect.SHUTDOWN
    host.context.journal.cancel(request.id)
    main.run([request.id], host.context)
    assert (host.now(request).state, domain.active) == (State.CANCELLED, True)


def test_one_that_never_starts_again_is_not_defined(host: FakeHost) -> None:
    domain = running(host, memory=512, most=2048)
    domain.persistent = False
    ended = resized(host, memory_mib=1024)
    assert ended.failure.text == (
        f"cannot resize {NAME} on host {HOST}: it is transient, and never starts again; define it"
        " (virsh define) first"
    )
    assert not domain.persistent
    assert resized(host, memory_mib=512).failure is None
