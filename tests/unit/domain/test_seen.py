# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a domain is shown: what its definition says, and what libvirt tells of its disks."""

from __future__ import annotations

from typing import Any

import pytest
from maglica.domain.definition import describe
from maglica.domain.seen import described
from maglica.model.vm import Domain, vm_uuid

XML = f"""
<domain type='kvm'><name>vm0</name><uuid>{vm_uuid("r")}</uuid><memory unit='MiB'>64</memory>
<metadata><maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' request='r'>
<maglica:volume target='vda' size='2147483648' pool='p' name='n' path='/n'/></maglica:vm></metadata>
<devices>
<disk device='cdrom'><target dev='sda'/></disk>
<disk type='file'><source file='/n'/><target dev='vda'/></disk>
<disk type='file'><source file='/m'/><target dev='vdb'/></disk>
</devices></domain>
"""
STATISTICS = {
    "block.count": 1,
    "block.0.name": "vda",
    "block.0.capacity": 4 << 30,
    "block.0.allocation": 9,
}


@pytest.mark.parametrize(
    ("statistics", "sizes"), [({}, (2 << 30, None)), (STATISTICS, (4 << 30, 9))]
)
def test_sizes_are_those_of_now_if_known(
    statistics: dict[str, Any], sizes: tuple[Any, ...]
) -> None:
    """Else those that the disks of the vm were made with; of others there are none."""
    vm = described(Domain("vm0", "u", "h", "stopped", False), describe(XML), statistics)
    found = {disk.target: (disk.capacity_bytes, disk.allocation_bytes) for disk in vm.disks}
    assert found == {"sda": (None, None), "vda": sizes, "vdb": (None, None)}
