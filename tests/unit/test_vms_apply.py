# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite for many on a fake cell; tests/integration has it on a real one."""

from __future__ import annotations

import pytest
from support.vm_fake import FakeCell
from support.vms_suite import VmsSuite


@pytest.fixture
def cell() -> FakeCell:
    return FakeCell()


class TestFakeCell(VmsSuite):
    pass
