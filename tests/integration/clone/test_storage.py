# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and volumes of a real libvirtd keep the contract that the fake of the unit tests keeps."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest
from support import fake_libvirt
from support.storage_contract import StorageContract

from .conftest import POOL


@pytest.fixture(scope="module")
def pool(connection: libvirt.virConnect, folder: Path) -> Path:
    path = folder / "contract"
    path.mkdir()
    connection.storagePoolDefineXML(POOL.format(name="default", path=path)).create()
    return path


class TestWithRealLibvirt(StorageContract):
    pass


def test_the_fake_has_the_binding_s_numbers() -> None:
    numbers = {name: value for name, value in vars(fake_libvirt).items() if name.startswith("VIR_")}
    assert numbers == {name: getattr(libvirt, name) for name in numbers}
