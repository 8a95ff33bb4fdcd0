# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks about vms are told by reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet import answers
from maglica.fleet.by_reports import ReportedFleet
from maglica.model.reported import ReportedHost, ReportedInterface
from maglica.model.vm import Domain
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


def test_a_fixed_address_that_is_reported_has_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    nic = ReportedInterface("52:54:00:00:00:01", "default", {"recorded": ("192.0.2.7",)})
    reports = FakeReports([KVM0], [replace(reported.domain(MADE), interfaces=(nic,))])
    for there in (set[str](), {"192.0.2.7"}):
        monkeypatch.setattr(answers, "answering", lambda _asked, _s, ssh, there=there: there)
        found = ReportedFleet(reports).wait_addresses({"kvm0"}, {MADE.uuid}, 0)
        (vm,) = found.domains
        assert (vm.address, vm.interfaces[0].addresses) == (next(iter(there), None), ("192.0.2.7",))
