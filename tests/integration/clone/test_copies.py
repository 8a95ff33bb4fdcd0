# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full copies on real file systems, and how much overlays of small and big images take."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.disk import chain, copies, qemu_img
from maglica.disk.chain import QCOW2
from maglica.guest.appliance.appliance import Drive
from maglica.guest.areas.plan import Patch
from maglica.guest.areas.writes import DiskPatches, Writer
from maglica.model.errors import NoRoom
from support.small_disk import small_disk

MIB = 1 << 20
CONTENT = 24 * MIB
KINDS = {"xfs": True, "btrfs": True, "ext4": False}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Iterator[Path]:
    """A file system of that kind."""
    file, mountpoint = tmp_path / "file", tmp_path / "mnt"
    with file.open("wb") as new:
        new.truncate(400 * MIB)
    subprocess.run([f"mkfs.{kind}", "-q", str(file)], check=True, capture_output=True)
    mountpoint.mkdir()
    subprocess.run(["mount", "-o", "loop", str(file), str(mountpoint)], check=True)
    yield mountpoint
    subprocess.run(["umount", str(mountpoint)], check=True)


def make_base(path: Path, size: str = "1G") -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), size], check=True)
    write = f"write -q -P 65 100M {CONTENT}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", write, str(path)], check=True)
    return path


def free(folder: Path) -> int:
    subprocess.run(["sync", "-f", str(folder)], check=True)
    line = subprocess.run(
        ["df", "-B1", "--output=avail", str(folder)], check=True, capture_output=True
    )
    return int(line.stdout.split()[1])


def test_a_full_copy_is_whole_and_sparse_and_shares_blocks_where_it_can(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    base, target = make_base(folder / "base.qcow2"), folder / "copy.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(target), "1G"], check=True)
    before = free(folder)
    copies.copy(chain.inspect(str(base), QCOW2, ()), str(target), "p", tmp_path, lambda: None)
    taken = before - free(folder)
    command = ["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", str(base), str(target)]
    subprocess.run(command, check=True)
    assert chain.inspect(str(target), QCOW2, ())[0].size == 1 << 30
    if KINDS[kind]:
        assert taken < CONTENT // 8
    else:
        assert CONTENT <= taken < CONTENT + 2 * MIB


def test_a_reflink_to_another_file_system_changes_nothing(folder: Path, tmp_path: Path) -> None:
    base, target = make_base(folder / "base.qcow2"), tmp_path / "other.qcow2"
    target.write_bytes(b"as it was")
    assert copies.reflink(str(base), str(target)) is False
    assert target.read_bytes() == b"as it was"


def test_few_copies_into_a_pool_at_once(tmp_path: Path) -> None:
    running = most = 0
    lock = threading.Lock()

    def copy(pool: str) -> None:
        nonlocal running, most
        with copies.slot(tmp_path, pool, lambda: None):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.3)
            with lock:
                running -= 1

    threads = [threading.Thread(target=copy, args=("p",)) for _turn in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == copies.AT_ONCE
    with (
        copies.slot(tmp_path, "p", lambda: None),
        copies.slot(tmp_path, "p", lambda: None),
        copies.slot(tmp_path, "../q", lambda: None),
    ):
        assert len(list((tmp_path / copies.FOLDER).iterdir())) == 3


def test_one_that_waits_is_alive_as_long_as_others_make_progress(tmp_path: Path) -> None:
    alive = threading.Event()
    got = threading.Event()

    def wait() -> None:
        with copies.slot(tmp_path, "p", alive.set):
            got.set()

    with copies.slot(tmp_path, "p", alive.set) as mark:
        with copies.slot(tmp_path, "p", alive.set):
            thread = threading.Thread(target=wait)
            thread.start()
            assert not alive.wait(0.5)
            mark()
            assert alive.wait(60)
        assert got.wait(60)
    thread.join()


def test_what_a_linked_clone_takes_is_independent_of_the_image_s_size(tmp_path: Path) -> None:
    taken = {}
    patches = [Patch(0, 100 * MIB + number * 1000 * 512, b"x" * 1024) for number in range(12)]
    for size in ("1G", "20G"):
        base = make_base(tmp_path / f"base{size}.qcow2", size)
        overlay = tmp_path / f"overlay{size}.qcow2"
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2"]
        subprocess.run([*command, str(overlay)], check=True)
        with Writer() as writer:
            assert writer.write({"a": [DiskPatches(Drive(str(overlay), "qcow2"), patches)]}) == {
                "a": ""
            }
        taken[size] = overlay.stat().st_blocks * 512
    assert taken["1G"] == taken["20G"] < 2 * MIB


def test_what_goes_wrong_with_one_disk_is_told_of_that_one(tmp_path: Path) -> None:
    good, bad, gone = (tmp_path / f"{name}.qcow2" for name in ("good", "bad", "gone"))
    make_base(good)
    bad.write_bytes(b"no qcow2")
    patch = Patch(0, 4096, b"hello" * 100 + b"\n" * 12)
    guests = {path.stem: [DiskPatches(Drive(str(path), "qcow2"), [patch])] for path in (good, bad)}
    guests["small"] = [DiskPatches(Drive(str(good), "qcow2"), [Patch(0, 1 << 40, b"x" * 512)])]
    with Writer() as writer:
        results = writer.write(guests)
    assert results["good"] == ""
    assert "not in qcow2 format" in results["bad"]
    assert "Input/output error" in results["small"]
    with Writer() as writer:
        assert (
            "No such file"
            in writer.write({"gone": [DiskPatches(Drive(str(gone), "qcow2"), [patch])]})["gone"]
        )
    read = subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "read -v 4096 16", str(good)],
        check=True,
        capture_output=True,
    )
    assert b"hellohello" in read.stdout


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A block device of 1 GiB that has one MiB of content."""
    file = tmp_path / "device"
    with file.open("wb") as new:
        new.truncate(1 << 30)
        new.seek(512 * MIB)
        new.write(b"A" * MIB)
    found = subprocess.run(
        ["losetup", "--find", "--show", str(file)], check=True, capture_output=True, text=True
    )
    yield found.stdout.strip()
    subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)


def test_a_block_device_is_copied_where_its_content_has_room(device: str, tmp_path: Path) -> None:
    layers = chain.inspect(device, chain.RAW, [])
    with small_disk(tmp_path / "pool", 64) as pool:
        target = pool.path / "copy"
        subprocess.run(["qemu-img", "create", "-q", "-f", QCOW2, str(target), "1G"], check=True)
        qemu_img.copy(layers, str(target), lambda: None)
        assert MIB <= target.stat().st_blocks * 512 < 4 * MIB
        subprocess.run(
            ["qemu-img", "compare", "-q", "-f", "raw", "-F", QCOW2, device, str(target)], check=True
        )
        target.unlink()
        subprocess.run(["qemu-img", "create", "-q", "-f", QCOW2, str(target), "1G"], check=True)
        pool.fill()
        with pytest.raises(NoRoom, match=rf"disk {device} .* can't be copied"):
            qemu_img.copy(layers, str(target), lambda: None)
