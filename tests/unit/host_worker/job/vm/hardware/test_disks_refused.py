# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that can't come, or can't go, leaves its vm as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from maglica.host_worker.job import main
from maglica.host_worker.job.vm import shown
from maglica.host_worker.job.vm.hardware import disks
from maglica.host_worker.ownership import own_files
from maglica.model.request import State
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.hardware.disks import Bus, NewDisk
from support.fake_host import FakeHost, Killed
from support.fake_libvirt import Domain, libvirtError

from .test_disks import DATA, FIRST, HOST, NAME, NEW, XML, asked, disks_of, done, is_settled, made


@dataclass(frozen=True)
class Saved:
    """A snapshot (virDomainSnapshot), or a saved state, with the definition of then."""

    xml: str

    def getXMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return self.xml


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    pool = host.connection.pools[0]
    pool.createXML(f"<volume><name>{FIRST}</name><capacity>{1 << 20}</capacity></volume>")
    return host.connection.defineXML(XML.format(name=FIRST, path=host.pool / FIRST))


def test_nothing_stays_where_the_guest_does_not_restart_for_it(
    host: FakeHost, domain: Domain
) -> None:
    domain.create()
    domain.deaf = True
    host.connection.failures["attach 1"] = [libvirtError("No more available PCI slots")]
    request = asked(host, AddDiskSpec, NEW, allow_restart=True, stop_timeout=0)
    main.run([request.id], host.context)
    main.run([request.id], host.context)
    assert "the guest did not shut down within 0 s" in host.now(request).failure.text
    assert (disks_of(domain.xml), host.volumes()) == ([FIRST], [FIRST])
    assert "data" not in made(domain).disks
    assert is_settled(host, request)
    assert (domain.runs, domain.active) == (1, True)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("where", ["snapshot", "saved state"])
def test_a_disk_that_would_come_back_stays(
    host: FakeHost, domain: Domain, where: str, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(host, AddDiskSpec, NEW)
    before = domain.xml
    saved = Saved(f"<domainsnapshot>{before}</domainsnapshot>")
    if where == "snapshot":
        domain.snapshots = [saved]
    else:
        domain.saved = True
        monkeypatch.setattr(domain, "managedSaveGetXMLDesc", lambda _flags: before)
    ended = done(host, DetachDiskSpec, "data", keep=keep)
    assert ended.failure.text == (
        f"cannot detach disk data from {NAME} on host {HOST}: its volume {host.pool / DATA} is in a"
        f" snapshot or the saved state of the domain {NAME}: delete the snapshot (virsh"
        " snapshot-delete), or let the vm go on (virsh start), first"
    )
    assert domain.xml == before
    domain.snapshots, domain.saved = [], False
    assert done(host, DetachDiskSpec, "data", keep=keep).failure is None


def test_one_that_is_cancelled_while_its_vm_restarts_is_not_started_with(
    host: FakeHost, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain.create()
    # What it runs with it keeps, as it does a disk of SATA.
    domain.obeys = False
    host.connection.failures["attach 1"] = [libvirtError("cannot be hotplugged")]
    request = asked(host, AddDiskSpec, NEW, allow_restart=True)

    def die() -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(domain, "create", die)
        with pytest.raises(Killed):
            main.run([request.id], host.context)
    assert not domain.active
    host.context = host.new_context()
    host.context.journal.cancel(request.id)
    main.run([request.id], host.context)
    assert host.now(request).state is State.CANCELLED
    assert (domain.runs, domain.active, host.volumes()) == (2, True, [FIRST])
    assert disks_of(domain.xml) == disks_of(domain.XMLDesc()) == [FIRST]


def test_one_that_was_announced_to_go_goes_also_without_its_vm(
    host: FakeHost, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(host, AddDiskSpec, NEW)
    request = asked(host, DetachDiskSpec, "data")

    def die(*_arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(own_files, "discard", die)
        with pytest.raises(Killed):
            main.run([request.id], host.context)
    host.connection.domains.remove(domain)
    host.context = host.new_context()
    main.run([request.id], host.context)
    ended = host.now(request)
    assert (ended.state, ended.failure, ended.vm.state) == (State.DONE, None, "absent")
    assert host.volumes() == [FIRST]


def test_one_that_is_cancelled_and_held_by_its_guest_stays_the_vm_s(
    host: FakeHost, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "RELEASE_SECONDS", 0.01)
    domain.create()
    domain.obeys = False
    request = asked(host, AddDiskSpec, NEW)

    def die(*_arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(shown, "vm_of", die)
        with pytest.raises(Killed):
            main.run([request.id], host.context)
    host.context = host.new_context()
    host.context.journal.cancel(request.id)
    main.run([request.id], host.context)
    # Else no other request about the vm would ever begin.
    assert host.now(request).state is State.CANCELLED
    assert is_settled(host, request)
    assert disks_of(domain.xml) == disks_of(domain.XMLDesc()) == [FIRST, DATA]
    assert (list(made(domain).disks), host.volumes()) == (["vda", "data"], [DATA, FIRST])
    domain.obeys = True
    assert done(host, DetachDiskSpec, "data").failure is None
    assert host.volumes() == [FIRST]


def test_one_that_another_client_has_added_otherwise_is_an_error(
    host: FakeHost, domain: Domain
) -> None:
    assert done(host, AddDiskSpec, NEW).failure is None
    assert done(host, AddDiskSpec, NEW).failure is None
    assert done(host, AddDiskSpec, NewDisk("data")).failure is None
    before = domain.xml
    told = {
        replace(NEW, size_mib=128): (
            "it is there already, with 64 MiB, not 128 MiB: ask again to have it grow, or give"
            " another name"
        ),
        replace(NEW, pool="fast"): f"disk data of vm {NAME} on host {HOST} has pool default, not"
        " fast: only its size can be changed; detach it (state=absent, keep=true) and add it again",
        replace(NEW, bus=Bus.SATA): f"disk data of vm {NAME} on host {HOST} has bus virtio, not"
        " sata: only its size can be changed; detach it (state=absent, keep=true) and add it again",
    }
    for disk, text in told.items():
        ended = done(host, AddDiskSpec, disk)
        assert ended.failure is not None
        assert ended.failure.text == f"cannot add disk data to {NAME} on host {HOST}: {text}"
        assert is_settled(host, ended)
    assert domain.xml == before
