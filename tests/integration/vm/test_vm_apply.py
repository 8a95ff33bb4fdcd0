# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites on a real client worker and real libvirtds; tests/unit has them on a fake cell."""

from __future__ import annotations

from support.vm_adopt_suite import AdoptSuite
from support.vm_beside_suite import BesideSuite
from support.vm_joined_suite import JoinedSuite
from support.vm_settings_suite import SettingsSuite
from support.vm_size_suite import SizeSuite
from support.vm_suite import VmSuite


class TestRealCell(VmSuite, JoinedSuite, BesideSuite, SizeSuite, AdoptSuite, SettingsSuite):
    pass
