# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of reports is what libvirt would show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.config.config import HostEntry
from maglica.fleet import by_reports
from maglica.fleet.by_reports import ReportedFleet
from maglica.fleet.filter import Filters, image_names, rule
from maglica.fleet.inventory import entries
from maglica.fleet.snapshot import AskedHost, Found, Snapshot
from maglica.libvirtd.addresses import AddressFamily, Preference
from maglica.libvirtd.host_reader import Reading
from maglica.libvirtd.hosts import Gather, Host, Unreachable
from maglica.model.errors import ConfigInvalid, HostUnknown
from maglica.model.image import ImageVersion
from maglica.model.moment import Moment
from maglica.model.reported import (
    AddressSource,
    PoolState,
    ReportedDomain,
    ReportedHost,
    ReportedInterface,
)
from maglica.model.vm import Disk, Domain, Interface
from support import reported
from support.reported import FakeReports

NOW = 1_800_000_000.0
FACTS: dict[str, Any] = {
    "cpus": 8,
    "memory_total_mib": 4096,
    "memory_free_mib": 1024,
    "libvirt_version": "9.0.0",
    "hypervisor_version": "7.2.0",
    "hostname": "kvm0.example.jp",
    "pools": (PoolState("default", True, 2, 1),),
    "networks": ("default",),
}
KVM0 = ReportedHost("kvm0", alive=True, age_s=2.0, weight=2.0, **FACTS)
KVM1 = ReportedHost("kvm1", alive=True, age_s=4.0, problems=("cannot read the CPUs",))
MADE = Domain(
    *("vm0", "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11", "kvm0", "running", True),
    made=True,
    image="debian",
    image_version="v",
    request="r",
    created=Moment(1.5),
    who="root",
    clone_mode="linked",
    base="b",
    vcpus=2,
    memory_mib=512,
    interfaces=(Interface("52:54:00:00:00:01", "default", ("192.0.2.1", "2001:db8::1")),),
    disks=(Disk("vda", "disk", "qcow2", "/a", 1 << 30, 4096),),
    tags=("web",),
    ssh_host_keys=("ssh-ed25519 AAAA",),
    customize="offline",
    customize_reason="because",
    address="192.0.2.1",
)
FOREIGN = Domain(
    *("other", "11111111-1111-4111-8111-111111111111", "kvm1", "paused", True), made=False, vcpus=1
)
IMAGE = Domain(
    *("debian", "6a1f7d0e-6c3c-8a41-9a0e-6a7f2a4e9c11", "kvm0", "stopped", False),
    made=True,
    is_image=True,
    checksum="sha256:0a",
    versions=(ImageVersion("sha256:0a", created=Moment(2.5)),),
)
GOLDEN = Domain(
    *("golden", "22222222-1111-4111-8111-111111111111", "kvm1", "stopped", False),
    made=False,
    is_image=True,
)
ADOPTED = Domain(
    *("old", "33333333-1111-4111-8111-111111111111", "kvm1", "stopped", False),
    made=False,
    adopted=True,
    request="r",
    who="root",
    tags=("db",),
    foreign_disks=("/srv/old.qcow2",),
)
SEEN = (MADE, FOREIGN, IMAGE, GOLDEN)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [NOW]
    monkeypatch.setattr(by_reports.time, "time", lambda: now[0])
    return now


def _fleet(*domains: Domain, hosts: tuple[ReportedHost, ...] = (KVM0, KVM1)) -> ReportedFleet:
    return ReportedFleet(FakeReports(hosts, [reported.domain(each) for each in domains or SEEN]))


def _shown_by_libvirt(*domains: Domain) -> Snapshot:
    """What libvirt shows of the same hosts."""
    return Snapshot(
        vms=tuple(domain for domain in domains if not domain.is_image),
        images=tuple(domain for domain in domains if domain.is_image),
        hosts=(Host("kvm0", "qemu:///a", 0.5, **FACTS), Host("kvm1", "qemu:///b", 0.5)),
        asked=(AskedHost("kvm0", "qemu:///a", 2.0), AskedHost("kvm1", "qemu:///b", 1.0)),
    )


def _inventory(seen: Snapshot) -> dict[str, Any]:
    listed = entries(seen, ("vms", "images", "hosts"), lambda shown: str(shown["name"]))
    return {entry.name: (entry.groups, entry.shown) for entry in listed}


def _without_age(value: Any) -> Any:
    if isinstance(value, dict):
        ages = ("report_age_s", "seconds")
        return {key: _without_age(each) for key, each in value.items() if key not in ages}
    return [_without_age(each) for each in value] if isinstance(value, (list, tuple)) else value


def test_both_sources_give_the_same_inventory() -> None:
    hosts = (HostEntry("kvm0", "qemu:///a", 2.0), HostEntry("kvm1", "qemu:///b"))
    every = (*SEEN, ADOPTED)
    seen = replace(_fleet(*every), entries=hosts).snapshot(Reading())
    assert seen.problems == ("cannot read the CPUs",)
    assert _without_age(_inventory(seen)) == _without_age(_inventory(_shown_by_libvirt(*every)))
    assert _inventory(seen)["old"][0][-1] == "adopted"
    # What both have is not for want of values.
    vm, image, host = (_inventory(seen)[name][1] for name in ("vm0", "debian", "kvm0"))
    assert (vm["address"], vm["ssh_host_keys"]) == ("192.0.2.1", ["ssh-ed25519 AAAA"])
    assert image["dependents"] and image["copies"][0]["versions"]
    assert host["pools"] and host["reachable"]


def test_the_version_of_a_host_s_worker_is_shown() -> None:
    told = (replace(KVM0, worker_version="0.1.0+3f2a1b9c0d1e"), KVM1)
    shown = _inventory(_fleet(hosts=told).snapshot(Reading()))
    assert shown["kvm0"][1]["worker_version"] == "0.1.0+3f2a1b9c0d1e"
    assert shown["kvm1"][1]["worker_version"] is None


def test_each_is_as_old_as_its_host_s_report(clock: list[float]) -> None:
    seen = _fleet().snapshot(Reading())
    # As old as it is when it is shown: it may have been in a cache meanwhile.
    clock[0] += 1
    shown = {name: entry for name, (_groups, entry) in _inventory(seen).items()}
    ages = {name: entry["report_age_s"] for name, entry in shown.items()}
    young, old = dict.fromkeys(("kvm0", "vm0", "debian"), 3.0), ("kvm1", "other", "golden")
    assert ages == {**young, **dict.fromkeys(old, 5.0)}
    assert shown["debian"]["copies"][0]["report_age_s"] == 3.0
    libvirt = _inventory(_shown_by_libvirt(*SEEN)).values()
    assert {entry["report_age_s"] for _groups, entry in libvirt} == {None}


def test_without_a_configuration_all_hosts_are_listed_and_no_uri_is_believed() -> None:
    lying = replace(KVM0, uri="qemu+ssh://evil/system?command=/bin/true")
    seen = _fleet(hosts=(KVM1, lying)).snapshot(Reading())
    assert seen.asked == (AskedHost("kvm0", None, 2.0), AskedHost("kvm1", None, 1.0))
    assert [host.uri for host in seen.hosts] == [None, None]


def test_hosts_that_do_not_report_are_named_with_the_time_and_left_out() -> None:
    hosts = (
        replace(KVM0, alive=False, age_s=43.4),
        ReportedHost("kvm2", alive=False),
        replace(KVM1, libvirt_error="refused\nroot@evil", age_s=1.0),
    )
    seen = replace(
        _fleet(hosts=hosts),
        entries=(
            HostEntry("kvm3", "qemu:///d"),
            *(HostEntry(host.name, "qemu:///x") for host in hosts),
        ),
    ).snapshot(Reading())
    assert (seen.vms, seen.images, seen.hosts) == ((), (), ())
    assert seen.unreachable == (
        Unreachable(
            "kvm0",
            "its host worker is silent, its last report is 43 s old, of"
            " 2027-01-15T07:59:16.600000Z",
        ),
        Unreachable(
            "kvm1",
            r"its libvirtd is silent: refused\nroot@evil; its last report is 1 s old, of"
            " 2027-01-15T07:59:59.000000Z",
        ),
        Unreachable("kvm2", "it has not reported since the client worker was started"),
        Unreachable("kvm3", "the client worker knows no host of that name"),
    )
    assert [host.name for host in seen.asked] == ["kvm3", "kvm0", "kvm2", "kvm1"]


def test_filters_and_how_much_is_read() -> None:
    def names(wanted: dict[str, Any], gather: Gather = Gather.FULL) -> list[str]:
        filters = Filters((rule(wanted),))
        seen = _fleet().snapshot(Reading(gather, wanted=filters.wants), filters.may_want_host)
        return [domain.name for domain in (*seen.vms, *seen.images)]

    for gather in Gather:
        assert names({"image": "debian"}, gather) == ["vm0"]
        assert names({"state": "paused"}, gather) == ["other"]
        assert names({"kind": "image"}, gather) == ["debian", "golden"]
        assert names({"host": "kvm1"}, gather) == ["other", "golden"]
    (vm,) = _fleet(MADE).snapshot(Reading(Gather.MINIMAL)).vms
    assert (vm.state, vm.made, vm.vcpus, vm.interfaces, vm.address) == (
        "running",
        True,
        None,
        (),
        None,
    )


def test_hosts_that_no_filter_admits_are_not_asked_for() -> None:
    fleet = replace(_fleet(), entries=(HostEntry("kvm0", "qemu:///a"), HostEntry("kvm1", "b:///b")))
    assert [vm.name for vm in fleet.snapshot(Reading(), lambda name: name == "kvm1").vms] == [
        "other"
    ]
    assert fleet.snapshot(Reading(), lambda name: False) == Snapshot()
    assert fleet.client.asked == [(("kvm1",), ())]


ADDRESSES = {
    "lease": ("192.0.2.1", "nonsense; reboot", "127.0.0.1"),
    "agent": ("198.51.100.1", "2001:db8::1"),
    "recorded": ("203.0.113.1",),
}


@pytest.mark.parametrize(
    ("sources", "preference", "address"),
    [
        (["lease", "agent"], Preference(), "192.0.2.1"),
        (["arp", "agent", "lease"], Preference(), "198.51.100.1"),
        (["agent"], Preference(AddressFamily.IPV6), "2001:db8::1"),
        (["lease"], Preference(AddressFamily.IPV6_ONLY), None),
        (["recorded"], Preference(), "203.0.113.1"),
        ([], Preference(), None),
    ],
)
def test_the_reader_chooses_the_address(
    sources: list[str], preference: Preference, address: str | None
) -> None:
    nic = ReportedInterface("52:54:00:00:00:01", "default", ADDRESSES)
    told = replace(reported.domain(MADE), interfaces=(nic,))
    reading = Reading(sources=tuple(map(AddressSource, sources)), preference=preference)
    (vm,) = ReportedFleet(FakeReports([KVM0], [told])).snapshot(reading).vms
    assert vm.address == address
    assert "nonsense; reboot" not in vm.interfaces[0].addresses
    off = replace(told, active=False, state="stopped")
    (vm,) = ReportedFleet(FakeReports([KVM0], [off])).snapshot(reading).vms
    assert (vm.address, vm.interfaces[0].addresses) == (None, ())


def test_the_reader_s_pattern_tells_what_is_an_image() -> None:
    # A host has a pattern of its own.
    told = replace(GOLDEN, is_image=False)
    fleet = _fleet(told, IMAGE, replace(FOREIGN, is_image=True))
    seen = fleet.snapshot(Reading())
    assert [image.name for image in seen.images] == ["debian", "golden"]
    seen = fleet.snapshot(Reading(may_be_image=image_names("none")))
    assert [image.name for image in seen.images] == ["debian"]


def test_definitions_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="the source libvirt"):
        _fleet().snapshot(Reading(xml=True))


def test_only_some_hosts() -> None:
    fleet = _fleet().only(["kvm1"])
    assert [host.name for host in fleet.snapshot(Reading()).asked] == ["kvm1"]
    assert fleet.names == ("kvm1",)
    with pytest.raises(HostUnknown, match="knows no host kvm7"):
        _fleet().only(["kvm0", "kvm7"]).snapshot(Reading())
    configured = replace(_fleet(), entries=(HostEntry("kvm0", "qemu:///a"),))
    with pytest.raises(HostUnknown, match="kvm1 is not in the configuration, which has kvm0"):
        configured.only(["kvm1"])


def test_the_names_of_hosts_cost_no_domain() -> None:
    fleet = _fleet()
    assert fleet.names == ("kvm0", "kvm1")
    assert fleet.client.asked == [((), ("",))]
    assert replace(fleet, entries=(HostEntry("kvm9", "qemu:///a"),)).names == ("kvm9",)


def test_vms_by_their_names() -> None:
    fleet = _fleet(hosts=(KVM0, replace(KVM1, alive=False)))
    found = fleet.find_vms({"vm0", "other"})
    assert [(vm.name, vm.address) for vm in found.domains] == [("vm0", "192.0.2.1")]
    assert [host.host for host in found.unreachable] == ["kvm1"]
    assert fleet.client.asked == [((), ("other", "vm0"))]
    assert _fleet().find_vms(frozenset()) == Found()


class Changing(FakeReports):
    """Reports that are other ones with each question."""

    def __init__(self, *answers: FakeReports) -> None:
        super().__init__(())
        self.answers = list(answers)

    def reported(self, hosts: Any = (), names: Any = ()) -> Any:
        self.asked.append((tuple(hosts), tuple(names)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer.reported(hosts, names)


def _told(*domains: Domain) -> list[ReportedDomain]:
    return [reported.domain(each) for each in domains]


def test_waiting_for_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(by_reports.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(by_reports.time, "sleep", sleep)
    bare = replace(MADE, interfaces=(Interface("52:54:00:00:00:01", "default"),))
    other = replace(bare, name="vm1", uuid="u1")
    hosts = [KVM0, KVM1]
    reports = Changing(
        FakeReports(hosts, _told(bare, other, FOREIGN)),
        FakeReports([replace(KVM0, alive=False), KVM1]),
        FakeReports(hosts, _told(bare, replace(MADE, name="vm1", uuid="u1"))),
        FakeReports(hosts, _told(MADE)),
    )
    found = ReportedFleet(reports).wait_addresses({(MADE.uuid, "kvm0"), ("u1", "kvm0")}, 60)
    assert {vm.name: vm.address for vm in found.domains} == {"vm0": "192.0.2.1", "vm1": "192.0.2.1"}
    assert found.unreachable == ()
    assert pauses == sorted(set(pauses))
    assert [names for _hosts, names in reports.asked][-1] == ("vm0",)
    # One that gets none is returned so when the time is over; one that is gone is not.
    reports = Changing(FakeReports(hosts, _told(bare)))
    found = ReportedFleet(reports).wait_addresses({(MADE.uuid, "kvm0"), ("gone", "kvm0")}, 20)
    assert [(vm.name, vm.address) for vm in found.domains] == [("vm0", None)]
    assert max(pauses) <= 3.0
    assert ReportedFleet(FakeReports(hosts)).wait_addresses({("gone", "kvm0")}, 20) == Found()
