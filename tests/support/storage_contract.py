# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pools, volumes and own files do with any libvirtd; derive a test class from it.

The derived class has fixtures ``connection``, ``pool``, the folder of an empty pool named default,
``stopped_pool``, which returns a context in which that is not active, and ``moved_pool``, which
returns one in which that pool's folder is the one given.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from maglica.disk import chain, mounts, pools
from maglica.disk.files import FilePool
from maglica.disk.room import MIB
from maglica.domain.metadata import OwnVolume
from maglica.host_worker.ownership import own_files
from maglica.host_worker.ownership.own_files import OwnFiles
from maglica.model.errors import NotOwn, StorageFailed

UUID = "e295817c-2e61-58d4-94ad-b3e77aee8536"


def own(pool: Path, name: str, pool_name: str = "default") -> OwnVolume:
    return OwnVolume("vda", pool_name, name, str(pool / name))


def context(connection) -> SimpleNamespace:
    """What own_files needs of a JobContext where nothing was announced."""
    journal = SimpleNamespace(announced=tuple, bases=tuple)
    return SimpleNamespace(connect=lambda: connection, journal=journal)


def remove(connection, *volumes: OwnVolume) -> None:
    own_files.remove(OwnFiles(volumes), context(connection))


def known(connection) -> FilePool:
    (found,) = pools.pools(connection, ["default"])
    assert isinstance(found, FilePool)
    return found


def made(connection, pool: Path, name: str, size: int = MIB) -> OwnVolume:
    """Make a volume of that name."""
    volume = own(pool, name)
    known(connection).create(connection, volume, size)
    return volume


def files(pool: Path) -> list[str]:
    return sorted(path.name for path in pool.iterdir())


def listed(connection) -> list[str]:
    """The volumes that libvirt knows of."""
    return sorted(connection.storagePoolLookupByName("default").listVolumes())


class StorageContract:
    """The tests; each leaves the pool empty."""

    def test_pools(self, connection, pool: Path) -> None:
        (found,) = pools.pools(connection, ["default"])
        assert (found.name, found.path, found.shared) == ("default", str(pool), None)
        room = mounts.room(str(pool))
        assert found.free == pytest.approx(room.free, rel=0.05)
        assert found.capacity == room.capacity
        assert pools.pools(connection, ["other"]) == ()

    def test_a_volume_and_an_overlay(self, connection, pool: Path) -> None:
        base, overlay = made(connection, pool, "base.qcow2", 64 * MIB), own(pool, "overlay.qcow2")
        known(connection).overlay(connection, overlay, chain.inspect(base.path, "qcow2", []))
        layers = chain.inspect(overlay.path, "qcow2", [])
        assert [(layer.path, layer.size) for layer in layers] == [
            (str(pool / "overlay.qcow2"), 64 * MIB),
            (base.path, 64 * MIB),
        ]
        assert all(layer.allocated < MIB for layer in layers)
        assert listed(connection) == ["base.qcow2", "overlay.qcow2"]
        remove(connection, overlay, base)
        assert files(pool) == []

    def test_a_medium(self, connection, pool: Path) -> None:
        content = bytes(range(256)) * 32
        volume = known(connection).medium("sda", "web1.sda.e295817c")
        assert volume.path == str(pool / "web1.sda.e295817c.iso")
        known(connection).write_medium(connection, volume, content)
        assert (pool / volume.name).read_bytes() == content
        disk = made(connection, pool, "disk.qcow2")
        modes = [Path(each.path).stat().st_mode & 0o777 for each in (volume, disk)]
        assert modes == [0o600, 0o600]
        source = known(connection).medium_source(volume)
        assert (source.path, source.format) == (volume.path, "raw")
        with pytest.raises(StorageFailed, match="can't be made in pool default"):
            known(connection).write_medium(connection, volume, b"")
        remove(connection, volume, disk)
        assert files(pool) == []

    def test_what_is_there_is_not_replaced(self, connection, pool: Path) -> None:
        (pool / "theirs.qcow2").write_bytes(b"theirs")
        with pytest.raises(StorageFailed, match=r"theirs\.qcow2 is there already"):
            known(connection).check_free(own(pool, "theirs.qcow2"))
        with pytest.raises(StorageFailed, match="can't be made in pool default"):
            made(connection, pool, "theirs.qcow2")
        assert (pool / "theirs.qcow2").read_bytes() == b"theirs"
        (pool / "theirs.qcow2").unlink()

    def test_what_is_not_there_is_removed(self, connection, pool: Path) -> None:
        """It is no error, and whoever else has a file there keeps it."""
        (pool / "theirs.qcow2").write_bytes(b"theirs")
        remove(connection, own(pool, "nothing.qcow2"))
        assert files(pool) == ["theirs.qcow2"]
        (pool / "theirs.qcow2").unlink()

    def test_a_name_beside_it_that_is_no_text_is_in_nobodys_way(
        self, connection, pool: Path
    ) -> None:
        odd = pool / "gr\udcf6\udcdfe.iso"
        odd.write_bytes(b"theirs")
        remove(connection, own(pool, "nothing.qcow2"))
        assert files(pool) == [odd.name]
        odd.unlink()

    def test_a_file_that_libvirt_has_not_seen_is_removed(self, connection, pool: Path) -> None:
        (pool / "strange.qcow2").write_bytes(b"")
        remove(connection, own(pool, "strange.qcow2"))
        assert files(pool) == []

    def test_a_volume_whose_file_is_gone_is_removed(self, connection, pool: Path) -> None:
        made(connection, pool, "gone.qcow2")
        (pool / "gone.qcow2").unlink()
        remove(connection, own(pool, "gone.qcow2"))
        assert listed(connection) == []

    def test_a_pool_that_is_not_there(self, connection, pool: Path) -> None:
        text = r"volume x can't be removed: there is no storage pool nowhere any more"
        with pytest.raises(NotOwn, match=text):
            remove(connection, own(pool, "x", "nowhere"))
        with pytest.raises(StorageFailed, match=r"volume x can't be made in pool nowhere"):
            FilePool("nowhere", "/", 1).create(connection, own(pool, "x", "nowhere"), MIB)

    def test_what_is_in_a_pool_that_is_not_active_stays(
        self, connection, pool: Path, stopped_pool
    ) -> None:
        made(connection, pool, "x.qcow2")
        with stopped_pool(), pytest.raises(StorageFailed, match="is not active") as raised:
            remove(connection, own(pool, "x.qcow2"))
        assert not isinstance(raised.value, NotOwn)
        remove(connection, own(pool, "x.qcow2"))
        assert files(pool) == []

    def test_what_is_in_another_folder_now_stays(
        self, connection, pool: Path, moved_pool, tmp_path: Path
    ) -> None:
        moved = tmp_path / "moved"
        moved.mkdir()
        (moved / "x.qcow2").write_bytes(b"theirs")
        with moved_pool(moved), pytest.raises(NotOwn, match=f"is {moved}/x.qcow2 now"):
            remove(connection, own(pool, "x.qcow2"))
        assert files(moved) == ["x.qcow2"]

    def test_a_link_in_the_place_of_a_volume_stays(self, connection, pool: Path, tmp_path) -> None:
        (tmp_path / "elsewhere").write_bytes(b"theirs")
        (pool / "x.qcow2").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(NotOwn, match=r"x\.qcow2 is a link now"):
            remove(connection, own(pool, "x.qcow2"))
        assert (tmp_path / "elsewhere").exists()
        (pool / "x.qcow2").unlink()

    def test_what_a_file_builds_upon_is_in_use(self, connection, pool: Path) -> None:
        base, overlay = made(connection, pool, "base.qcow2"), own(pool, "overlay.qcow2")
        known(connection).overlay(connection, overlay, (chain.Layer(base.path, "qcow2", MIB, 0),))
        with pytest.raises(NotOwn, match=f"{base.path} is in use by the file {overlay.path}"):
            own_files.check(OwnFiles((base,)), context(connection))
        own_files.discard(OwnFiles((base,)), context(connection))
        assert files(pool) == ["base.qcow2", "overlay.qcow2"]
        # Together they may go.
        own_files.check(OwnFiles((base, overlay)), context(connection))
        own_files.discard(OwnFiles((base, overlay)), context(connection))
        assert files(pool) == []
