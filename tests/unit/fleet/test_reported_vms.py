# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks about vms are told by reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet import answers
from maglica.fleet.by_reports import ReportedFleet
from maglica.fleet.snapshot import place
from maglica.model.reported import ReportedHost, ReportedInterface
from maglica.model.vm import Domain
from maglica.wire import fitting
from support import reported
from support.reported import FakeReports

KVM0 = ReportedHost("kvm0", alive=True, age_s=2.0)
UUID = "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11"
MADE = Domain("vm0", UUID, "kvm0", "running", True, made=True, vcpus=2, memory_mib=512)


def test_what_a_vm_runs_with_and_has_after_its_next_start() -> None:
    told = replace(reported.domain(MADE), next_memory_mib=1024)
    (found,) = ReportedFleet(FakeReports([KVM0], [told])).find_vms({"vm0"}).domains
    assert (found.vcpus, found.memory_mib, found.restart_needed) == (2, 1024, True)
    assert (found.running_vcpus, found.running_memory_mib) == (2, 512)
    same = FakeReports([KVM0], [reported.domain(MADE)])
    (found,) = ReportedFleet(same).find_vms({"vm0"}).domains
    assert (found.memory_mib, found.restart_needed) == (512, False)


def test_of_a_vm_that_was_too_long_to_be_reported_that_is_known() -> None:
    nic = ReportedInterface("52:54:00:00:00:01")
    whole = replace(reported.domain(MADE), interfaces=(nic,))
    for tags, is_cut in (((), False), (("t" * 60,) * 2000, True)):
        kept = fitting.domain_kept(replace(whole, tags=tags))
        (found,) = ReportedFleet(FakeReports([KVM0], [kept])).find_vms({"vm0"}).domains
        assert (found.is_cut, found.interfaces) == (is_cut, () if is_cut else (nic.shown(),))


def test_a_fixed_address_that_is_reported_has_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    nic = ReportedInterface("52:54:00:00:00:01", "default", {"recorded": ("192.0.2.7",)})
    reports = FakeReports([KVM0], [replace(reported.domain(MADE), interfaces=(nic,))])
    for there in (set[str](), {"192.0.2.7"}):
        monkeypatch.setattr(answers, "answering", lambda _asked, _s, ssh, there=there: there)
        found = ReportedFleet(reports).wait_addresses({(MADE.uuid, "kvm0")}, 0)
        (vm,) = found.domains
        assert (vm.address, vm.interfaces[0].addresses) == (next(iter(there), None), ("192.0.2.7",))


@pytest.mark.parametrize("lease", [{"lease": ("203.0.113.66",)}, {}])
def test_another_host_has_no_say_in_a_vms_address(lease: dict[str, tuple[str, ...]]) -> None:
    """It says that it has a vm of the same UUID, and where that is."""
    mac = "52:54:00:00:00:01"
    here, there = (
        replace(reported.domain(MADE), host=host, interfaces=(ReportedInterface(mac, None, known),))
        for host, known in (("kvm0", {"lease": ("192.0.2.10",)}), ("kvm1", lease))
    )
    reports = FakeReports([KVM0, replace(KVM0, name="kvm1")], [here, there])
    other = ("00000000-0000-4000-8000-000000000000", "kvm1")
    found = ReportedFleet(reports).wait_addresses({(UUID, "kvm0"), other}, 0)
    assert [(vm.host, vm.address) for vm in found.domains] == [("kvm0", "192.0.2.10")]


def test_vms_of_one_uuid_on_two_hosts_are_met_each_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vms = [replace(MADE, host=host, address=None) for host in ("kvm0", "kvm1")]
    fixed = [replace(vm, address=f"192.0.2.{n}") for n, vm in enumerate(vms)]
    monkeypatch.setattr(answers, "answering", lambda _asked, _s, ssh: {"192.0.2.1"})
    rounds = answers.Rounds(ssh=False)
    met = rounds.met(vms, lambda places: [vm for vm in fixed if place(vm) in places])
    assert [(vm.host, vm.address) for vm in met] == [("kvm0", None), ("kvm1", "192.0.2.1")]
