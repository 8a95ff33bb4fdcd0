# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and volumes of a real libvirtd keep the contract that the fake of the unit tests keeps."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Callable

import libvirt
import pytest
from maglica.disk import chain, pools
from maglica.disk.partitions import Patch
from maglica.disk.room import MIB
from maglica.model.errors import StorageFailed
from support import fake_libvirt
from support.storage_contract import StorageContract, made, own, remove

from .conftest import POOL


@pytest.fixture(scope="module")
def pool(connection: libvirt.virConnect, folder: Path) -> Path:
    path = folder / "contract"
    path.mkdir()
    connection.storagePoolDefineXML(POOL.format(name="default", path=path)).create()
    return path


@pytest.fixture
def stopped_pool(
    connection: libvirt.virConnect, pool: Path
) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def stopped() -> Iterator[None]:
        handle = connection.storagePoolLookupByName("default")
        handle.destroy()
        try:
            yield
        finally:
            handle.create()

    return stopped


@pytest.fixture
def moved_pool(
    connection: libvirt.virConnect, pool: Path
) -> Callable[[Path], AbstractContextManager[None]]:
    def define(folder: Path) -> None:
        handle = connection.storagePoolLookupByName("default")
        handle.destroy()
        handle.undefine()
        connection.storagePoolDefineXML(POOL.format(name="default", path=folder)).create()

    @contextmanager
    def moved(folder: Path) -> Iterator[None]:
        define(folder)
        try:
            yield
        finally:
            define(pool)

    return moved


class TestWithRealLibvirt(StorageContract):
    pass


def test_a_volume_grows(connection: libvirt.virConnect, pool: Path) -> None:
    """Also one that builds upon another, which stays as it is."""
    base, overlay = made(connection, pool, "base.qcow2", 64 * MIB), own(pool, "overlay.qcow2")
    (storage,) = pools.pools(connection, ["default"])
    storage.grow(base, 65 * MIB, [Patch(0, b"begin")])
    below = chain.inspect(base.path, "qcow2", [])
    storage.overlay(connection, overlay, below)
    storage.grow(overlay, 1024 * MIB, [Patch(1024 * MIB - 512, b"e" * 512), Patch(512, b"second")])
    handle = connection.storagePoolLookupByName("default").storageVolLookupByName(overlay.name)
    assert handle.info()[1] == 1024 * MIB
    head = storage.head(chain.inspect(overlay.path, "qcow2", []), 1024)
    assert (head[:5], head[512:518], len(head)) == (b"begin", b"second", 1024)
    assert chain.inspect(base.path, "qcow2", [])[0] == below[0]
    remove(connection, overlay, base)


@pytest.fixture
def on_fuse(connection: libvirt.virConnect, pool: Path, tmp_path: Path) -> Iterator[str]:
    """A pool in a folder that lies on FUSE."""
    folder = tmp_path / "mounted"
    for path in (folder, tmp_path / "real"):
        path.mkdir()
    subprocess.run(["bindfs", str(tmp_path / "real"), str(folder)], check=True)
    handle = connection.storagePoolDefineXML(POOL.format(name="fused", path=folder))
    handle.create()
    yield "fused"
    handle.destroy()
    handle.undefine()
    subprocess.run(["umount", str(folder)], check=True)


def test_a_pool_on_fuse_is_refused(connection: libvirt.virConnect, on_fuse: str) -> None:
    known = pools.pools(connection)
    assert {found.name: found.shared for found in known} == {"default": None, "fused": "fuse"}
    text = r"storage pool fused is on fuse, which other hosts may see too: bases and vms need a"
    with pytest.raises(StorageFailed, match=text):
        pools.choose(known, 0, "fused")
    assert pools.choose(known, 0).name == "default"


def test_the_fake_has_the_binding_s_numbers() -> None:
    numbers = {name: value for name, value in vars(fake_libvirt).items() if name.startswith("VIR_")}
    assert numbers == {name: getattr(libvirt, name) for name in numbers}
