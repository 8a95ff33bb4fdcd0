# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vm that does not start as it was changed runs again as it was before."""

from __future__ import annotations

from typing import Any

import pytest
from maglica.domain import definition
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.model.card import Card, Link, Model
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.disks import Bus, NewDisk
from maglica.verbs.hardware.remove_interface import RemoveInterfaceSpec
from maglica.verbs.hardware.set_cdrom import Medium, SetCdromSpec
from maglica.verbs.resize import ResizeSpec
from support.fake_host import FakeHost, Killed
from support.fake_libvirt import Domain, libvirtError

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
UUID = vm_uuid("r")
MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata><maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'/></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices><interface type='network'>
    <mac address='{MAC}'/><source network='default'/><model type='virtio'/>
  </interface></devices>
</domain>"""
RESTART: dict[str, Any] = {"allow_restart": True, "force": True, "stop_timeout": 0}
CARD = Card(Model.E1000, Link.DOWN)
# Each with what stands in the definition that it makes.
ACTS = {
    "resize": (ResizeSpec, {"vcpus": 3}, ">3<"),
    "add_interface": (AddInterfaceSpec, {"mac": OTHER, "network": "lan", "card": CARD}, OTHER),
    "change_interface": (ChangeInterfaceSpec, {"mac": MAC, "card": CARD}, "e1000"),
    "remove_interface": (RemoveInterfaceSpec, {"mac": MAC}, "<devices />"),
    "set_cdrom": (SetCdromSpec, {"medium": Medium(None, "default", "a.iso")}, "a.iso"),
    "add_disk": (AddDiskSpec, {"disk": NewDisk("extra", 1, None, Bus.SATA)}, "extra"),
}


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    made = host.connection.defineXML(XML)
    made.create()
    (host.pool / "a.iso").write_bytes(bytes(16 * 2048) + b"\1CD001\1" + bytes(2048))
    host.connection.pools[0].refresh()
    return made


def asked(host: FakeHost, act: str) -> Request:
    kind, fields, broken = ACTS[act]
    host.connection.unstartable = broken
    for name in ("attach 1", "detach 1", "update 1"):
        host.connection.failures[name] = [libvirtError("not while it runs")] * 9
    return host.asked(kind(NAME, UUID, HOST, **fields, **RESTART))


def ended(host: FakeHost, request: Request) -> Request:
    """Run what of the request's jobs is left."""
    for _job in range(3):
        if not host.now(request).state.ended:
            host.next_job(request)
    assert host.context.journal.intents(request.id) == ()
    return host.now(request)


@pytest.mark.parametrize("act", ACTS)
def test_it_runs_again_as_it_was(host: FakeHost, domain: Domain, act: str) -> None:
    request = ended(host, asked(host, act))
    assert request.state is State.FAILED
    broken = host.connection.unstartable
    assert request.failure.text == (
        f"cannot start {NAME} with what was changed, which is taken back, on host {HOST}: QEMU"
        f" knows no {broken}"
    )
    assert (domain.active, domain.runs, broken in domain.xml) == (True, 2, False)
    assert domain.XMLDesc() == domain.xml
    assert [path.name for path in host.pool.iterdir()] == ["a.iso"]


@pytest.mark.parametrize("act", ACTS)
def test_a_job_may_die_anywhere(host: FakeHost, domain: Domain, act: str) -> None:
    for kill_at in range(1, 99):
        runs, before = domain.runs, definition.describe(domain.xml)
        request = asked(host, act)
        if not host.dies(request, kill_at, jobs=3):
            break
        assert ended(host, request).state is State.FAILED
        assert (domain.active, domain.runs) == (True, runs + 1), kill_at
        assert definition.describe(domain.xml) == before, kill_at
    assert kill_at > 5


def test_what_others_have_changed_meanwhile_stays(host: FakeHost, domain: Domain) -> None:
    request = asked(host, "change_interface")
    main.run([request.id], host.context)
    assert not domain.active
    domain.xml = changed = domain.xml.replace("'default'", "'theirs'").replace(
        '"default"', '"theirs"'
    )
    assert ended(host, request).state is State.FAILED
    assert (domain.active, domain.xml) == (True, changed)
    assert "e1000" not in domain.XMLDesc()


def test_one_that_is_cancelled_starts_as_it_was_changed_if_it_can(
    host: FakeHost, domain: Domain
) -> None:
    for broken, expected in (("\0", True), ("e1000", False)):
        request = asked(host, "change_interface")
        host.connection.unstartable = broken
        host.connection.failures["create"] = [Killed]
        with pytest.raises(Killed):
            main.run([request.id], host.context)
        host.context.journal.cancel(request.id)
        assert ended(host, request).state is State.CANCELLED
        assert (domain.active, "e1000" in domain.xml) == (True, expected)
        domain.xml = XML
        domain.live = None


def test_of_an_earlier_task_nothing_is_taken_back(host: FakeHost, domain: Domain) -> None:
    kind, fields, broken = ACTS["change_interface"]
    assert ended(host, host.asked(kind(NAME, UUID, HOST, **fields))).failure is None
    host.connection.unstartable = broken
    request = ended(host, host.asked(ResizeSpec(NAME, UUID, HOST, **RESTART)))
    assert request.failure.text == f"cannot restart {NAME} on host {HOST}: QEMU knows no e1000"
    # It goes on as it was running.
    assert (domain.active, "e1000" in domain.xml, "e1000" in domain.XMLDesc()) == (
        True,
        True,
        False,
    )
