# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of volumes."""

from __future__ import annotations

import pytest
from maglica.disk import volumes
from maglica.model.errors import ImageUnsupported
from support.storage_contract import UUID


@pytest.mark.parametrize("target", ["", "../x", "vda.qcow2", "vda/", "VDA", "x" * 17, "vda\n"])
def test_targets_that_are_no_part_of_a_file_name(target: str) -> None:
    with pytest.raises(ImageUnsupported, match="target"):
        volumes.of_vm("vm0", target, UUID)


@pytest.mark.parametrize(
    ("name", "of_vm", "base", "looks_own"),
    [
        ("vm0.vda.e295817c.qcow2", True, None, True),
        ("vm0.vda.00000000.qcow2", False, None, True),
        ("vm0.vda.e295817c.raw", False, None, False),
        ("vm0.sda.e295817c.iso", True, None, True),
        ("maglica-base.0123456789ab.11111111.vda.iso", False, None, True),
        ("vm0.vda.e295817c.qcow2.bak", False, None, False),
        ("maglica-base.0123456789ab.11111111.vda.qcow2", False, "11111111", True),
        ("maglica-base.0123456789ab.11111111.vda", False, None, True),
        ("maglica-look.11111111.vda.qcow2", False, None, True),
        ("debian.qcow2", False, None, False),
    ],
)
def test_names(name: str, of_vm: bool, base: str | None, looks_own: bool) -> None:
    assert volumes.is_of_vm(name, UUID) is of_vm
    assert volumes.base_of(name) == base
    assert volumes.looks_own(name) is looks_own
