# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite for many on a real client worker and libvirtds; tests/unit has it on a fake cell."""

from __future__ import annotations

from support.vms_prune_suite import PruneSuite
from support.vms_suite import VmsSuite


class TestRealCell(VmsSuite, PruneSuite):
    pass
