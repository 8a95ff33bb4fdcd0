# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What storage.py does with any libvirtd; derive a test class from it.

The derived class has fixtures ``connection``, ``pool``, the folder of an empty pool named default,
and ``stopped_pool``, which returns a context in which that is not active.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.errors import StorageFailed
from maglica.host_worker import images, storage
from maglica.host_worker.storage import MIB

UUID = "e295817c-2e61-58d4-94ad-b3e77aee8536"


class StorageContract:
    """The tests; each leaves the pool empty."""

    def test_pools(self, connection, pool: Path) -> None:
        (found,) = storage.pools(connection, ["default"])
        assert (found.name, found.path) == ("default", str(pool))
        assert found.free == pytest.approx(storage.free_bytes(str(pool)), rel=0.05)
        assert storage.pools(connection, ["other"]) == ()

    def test_a_volume_and_an_overlay(self, connection, pool: Path) -> None:
        (known,) = storage.pools(connection, ["default"])
        storage.create(connection, known, "base.qcow2", 64 * MIB)
        base = storage.volume_path(known, "base.qcow2")
        storage.create(connection, known, "overlay.qcow2", 64 * MIB, base)
        chain = images.inspect(storage.volume_path(known, "overlay.qcow2"), "qcow2", [])
        assert [(layer.path, layer.size) for layer in chain] == [
            (str(pool / "overlay.qcow2"), 64 * MIB),
            (base, 64 * MIB),
        ]
        assert all(layer.allocated < MIB for layer in chain)
        assert storage.volume_names(connection, known) == ("base.qcow2", "overlay.qcow2")
        for name in ("overlay.qcow2", "base.qcow2"):
            storage.delete(connection, "default", name)
        assert list(pool.iterdir()) == []

    def test_a_left_over_is_replaced(self, connection, pool: Path) -> None:
        (known,) = storage.pools(connection, ["default"])
        for size in (MIB, 2 * MIB):
            storage.create(connection, known, "twice.qcow2", size)
        (layer,) = images.inspect(str(pool / "twice.qcow2"), "qcow2", [])
        assert layer.size == 2 * MIB
        storage.delete(connection, "default", "twice.qcow2")

    def test_what_is_not_there_is_deleted(self, connection, pool: Path) -> None:
        storage.delete(connection, "default", "nothing.qcow2")

    def test_a_file_that_libvirt_has_not_seen_is_deleted(self, connection, pool: Path) -> None:
        (pool / "strange.qcow2").write_bytes(b"")
        storage.delete(connection, "default", "strange.qcow2")
        assert list(pool.iterdir()) == []

    def test_a_volume_whose_file_is_gone_is_deleted(self, connection, pool: Path) -> None:
        (known,) = storage.pools(connection, ["default"])
        storage.create(connection, known, "gone.qcow2", MIB)
        (pool / "gone.qcow2").unlink()
        storage.delete(connection, "default", "gone.qcow2")
        assert storage.volume_names(connection, known) == ()

    def test_a_pool_that_is_not_there(self, connection, pool: Path) -> None:
        with pytest.raises(StorageFailed, match=r"volume x can't be removed from pool nowhere"):
            storage.delete(connection, "nowhere", "x")
        with pytest.raises(StorageFailed, match=r"volume x can't be made in pool nowhere"):
            storage.create(connection, storage.Pool("nowhere", "/", 1), "x", MIB)

    def test_what_is_in_a_pool_that_is_not_active_stays(
        self, connection, pool: Path, stopped_pool
    ) -> None:
        (known,) = storage.pools(connection, ["default"])
        name = storage.volume_name("vm0.example.jp", "vda", UUID)
        storage.create(connection, known, name, MIB)
        path = storage.volume_path(known, name)
        with stopped_pool():
            with pytest.raises(StorageFailed, match=r"can't be removed.* is not active"):
                storage.delete(connection, "default", name)
            assert storage.vm_volumes(connection, UUID) == []
            with pytest.raises(StorageFailed, match=r"is in no active storage pool"):
                storage.vm_volumes(connection, UUID, [path])
        assert storage.vm_volumes(connection, UUID, [path]) == [("default", name)]
        storage.delete(connection, "default", name)

    def test_a_vm_s_disk_that_libvirt_has_not_seen_is_found(self, connection, pool: Path) -> None:
        name = storage.volume_name("vm0.example.jp", "vda", UUID)
        (pool / name).write_bytes(b"")
        disks = [str(pool / name), str(pool / "another.qcow2"), None]
        assert storage.vm_volumes(connection, UUID, disks) == [("default", name)]
        storage.delete(connection, "default", name)

    def test_the_volumes_of_a_vm_are_found_by_name(self, connection, pool: Path) -> None:
        (known,) = storage.pools(connection, ["default"])
        others = ["vm0.example.jp.vda.e2958170.qcow2", "e295817c.qcow2", "vm.vda.e295817c.raw"]
        for target in ("vda", "vdb"):
            name = storage.volume_name("vm0.example.jp", target, UUID)
            storage.create(connection, known, name, MIB)
        for name in others:
            storage.create(connection, known, name, MIB)
        for _again in range(2):
            for pool_name, name in storage.vm_volumes(connection, UUID):
                storage.delete(connection, pool_name, name)
        assert sorted(path.name for path in pool.iterdir()) == sorted(others)
        for name in others:
            storage.delete(connection, "default", name)
