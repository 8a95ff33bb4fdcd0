# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a vm's own volumes are disks to be filled."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from maglica.domain.metadata import Made, OwnVolume
from maglica.host_worker.job.vm import flatten
from maglica.model.errors import StorageFailed
from support.domains import domain

UUID = "e295817c-2e61-58d4-94ad-b3e77aee8536"
DISK = OwnVolume("vda", "default", f"vm0.vda.{UUID[:8]}.qcow2", f"/p/vm0.vda.{UUID[:8]}.qcow2")
SEED = OwnVolume("sda", "default", f"vm0.sda.{UUID[:8]}.iso", f"/p/vm0.sda.{UUID[:8]}.iso")
DRIVES = f"""
  <disk type='file' device='disk'><source file='{DISK.path}'/><target dev='vda'/></disk>
  <disk type='file' device='cdrom'>{{}}<target dev='sda'/><readonly/></disk>"""


def own_disks(medium: str, *volumes: OwnVolume) -> dict[str, str]:
    xml = domain(DRIVES.format(medium), uuid=UUID)
    vm = SimpleNamespace(UUIDString=lambda: UUID, XMLDesc=lambda *_flags: xml, isActive=lambda: 0)
    return flatten._own_disks(vm, Made("i", "r", None, "", "linked", volumes=volumes))


@pytest.mark.parametrize("medium", [f"<source file='{SEED.path}'/>", ""])
def test_a_medium_is_no_disk_whether_it_is_in_or_not(own_libvirt: None, medium: str) -> None:
    assert own_disks(medium, DISK, SEED) == {"vda": DISK.path}


def test_a_vm_with_a_medium_alone(own_libvirt: None) -> None:
    with pytest.raises(StorageFailed, match="names no volume as its own"):
        own_disks("", SEED)
