# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and their volumes, with libvirt in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from maglica.disk import mounts, pools, volumes
from maglica.disk.files import FilePool as Pool
from maglica.disk.pools import choose
from maglica.disk.room import Room
from maglica.model.errors import NoRoom, NotOwn, StorageFailed
from support.fake_libvirt import VIR_ERR_NO_STORAGE_POOL, Connection, libvirtError
from support.storage_contract import StorageContract, known, own

GIB = 1 << 30


@pytest.fixture
def connection(own_libvirt: None) -> Connection:
    return Connection()


@pytest.fixture
def pool(connection: Connection, tmp_path: Path) -> Path:
    return connection.add_pool("default", tmp_path / "pool").path


@pytest.fixture
def stopped_pool(connection: Connection) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def stopped() -> Iterator[None]:
        connection.pools[0].active = False
        yield
        connection.pools[0].active = True

    return stopped


@pytest.fixture
def moved_pool(connection: Connection) -> Callable[[Path], AbstractContextManager[None]]:
    @contextmanager
    def moved(folder: Path) -> Iterator[None]:
        (pool,) = connection.pools
        before, pool.path = pool.path, folder
        pool.refresh()
        yield
        pool.path = before
        pool.refresh()

    return moved


class TestWithFakeLibvirt(StorageContract):
    pass


def test_a_pool_that_vanishes_is_none(
    connection: Connection, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = connection.add_pool("gone", tmp_path / "gone")

    def vanish(_flags: int = 0) -> str:
        raise libvirtError("Storage pool not found", VIR_ERR_NO_STORAGE_POOL)

    monkeypatch.setattr(gone, "XMLDesc", vanish)
    assert [each.name for each in pools.pools(connection)] == ["default"]
    assert pools.folders(connection) == {"default": str(pool)}


@pytest.mark.parametrize(
    ("known", "needed", "named", "expected"),
    [
        ([Pool("a", "/a", 5 * GIB), Pool("b", "/b", 9 * GIB)], GIB, None, "b"),
        ([Pool("a", "/a", 5 * GIB), Pool("b", "/b", 9 * GIB)], GIB, "a", "a"),
        ([Pool("a", "/a", GIB)], GIB, None, "a"),
    ],
)
def test_choose(known: list[Pool], needed: int, named: str | None, expected: str) -> None:
    assert choose(known, needed, named).name == expected


@pytest.mark.parametrize(("disk_size", "expected"), [(0, "a"), (9, "a"), (10, "b")])
def test_a_pool_that_a_disk_could_never_fill_comes_last(disk_size: int, expected: str) -> None:
    known = [Pool("a", "/a", 9, capacity=9), Pool("b", "/b", 5, capacity=99)]
    assert choose(known, 1, None, disk_size).name == expected


def test_a_disk_that_is_larger_than_its_pool() -> None:
    known = [Pool("a", "/a", 9 * GIB, capacity=9 * GIB), Pool("b", "/b", GIB, capacity=99 * GIB)]
    text = r"pool a has 9\.0 GiB in all, less than a disk of 20\.0 GiB"
    with pytest.raises(NoRoom, match=text):
        choose(known, 1, "a", 20 * GIB)


@pytest.mark.parametrize(
    ("known", "named", "error", "text"),
    [
        ([], None, StorageFailed, "no active storage pool of files"),
        ([Pool("a", "/a", 9 * GIB)], "b", StorageFailed, "no active storage pool b"),
        (
            [Pool("default", "/a", int(1.2 * GIB)), Pool("b", "/b", GIB)],
            None,
            NoRoom,
            "pool default has 1.2 GiB free, 4.0 GiB needed",
        ),
        ([Pool("a", "/a", GIB), Pool("b", "/b", 9 * GIB)], "a", NoRoom, "pool a has 1.0 GiB free"),
        (
            [Pool("a", "/a", 9 * GIB, "nfs4"), Pool("b", "/b", GIB)],
            "a",
            StorageFailed,
            "storage pool a is on nfs4, which other hosts may see too",
        ),
        (
            [Pool("a", "/a", 9 * GIB, "nfs4"), Pool("b", "/b", GIB)],
            None,
            NoRoom,
            "pool b has 1.0 GiB free",
        ),
    ],
)
def test_no_pool(known: list[Pool], named: str | None, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        choose(known, 4 * GIB, named)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("qemu-img: error while writing: No space left on device", NoRoom),
        ("internal error: permission denied", StorageFailed),
    ],
)
def test_a_volume_that_can_not_be_made(
    connection: Connection, pool: Path, text: str, error: type[Exception]
) -> None:
    connection.failures["createXML"] = [libvirtError(text)]
    with pytest.raises(error, match=f"volume x can't be made in pool default: {text}"):
        known(connection).create(connection, own(pool, "x"), 1)


def test_pools_that_can_not_be_listed(connection: Connection) -> None:
    connection.failures["listAllStoragePools"] = [libvirtError("gone")]
    with pytest.raises(StorageFailed, match="can't be listed: gone"):
        pools.pools(connection)


def test_a_pool_whose_folder_is_gone_has_no_room(connection: Connection, pool: Path) -> None:
    pool.rmdir()
    assert pools.pools(connection) == (Pool("default", str(pool), 0),)


def test_a_pool_of_another_kind_holds_no_disks_of_vms(
    connection: Connection, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made before it became one is not taken for what lies there now."""
    volume = own(pool, "x.qcow2")
    known(connection).create(connection, volume, 1)
    xml = f"<pool type='logical'><target><path>{pool}</path></target></pool>"
    monkeypatch.setattr(connection.pools[0], "XMLDesc", lambda _flags=0: xml)
    assert pools.pools(connection) == ()
    assert pools.folders(connection) == {"default": str(pool)}
    assert volumes.find(connection, volume) is not None
    with pytest.raises(NotOwn, match=r"x\.qcow2 now, and was made as /elsewhere/x\.qcow2"):
        volumes.find(connection, replace(volume, path="/elsewhere/x.qcow2"))


def test_a_full_disk_explains_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pool = Pool("default", str(tmp_path), 0)
    error = StorageFailed("the appliance ended")
    with pytest.raises(StorageFailed) as raised, pool.explained():
        raise error
    assert raised.value is error
    monkeypatch.setattr(mounts, "room", lambda path: Room(1 << 40, 1000))
    text = "^pool default has 0.0 GiB free: the appliance ended$"
    with pytest.raises(NoRoom, match=text), pool.explained():
        raise error
