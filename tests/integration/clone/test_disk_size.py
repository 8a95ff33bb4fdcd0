# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that get larger: the table as sfdisk reads it, and a clone whose file system grows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from maglica.disk import chain, partitions, qemu_img, qemu_io
from maglica.guest.growth import GROWFS
from maglica.model.errors import NoRoom
from maglica.model.request import CloneMode, State
from support import guest as debian
from support import volumes
from support.guest import Disk

from .conftest import Host

pytestmark = pytest.mark.timeout(600)

MIB = 1 << 20
SECTOR = 512
# As cloud images are laid out: the root file system has the first number, and lies last.
GPT = """\
label: gpt
1 : start=8192, size={size}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"
14 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
15 : start=4096, size=4096, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="boot"
"""
MBR = """\
label: dos
1 : start=8192, size={size}, type=83, bootable
2 : start=2048, size=4096, type=82
"""
ROOT_AT = 8192 * SECTOR
TABLES = {"gpt": GPT, "dos": MBR}


def laid_out(path: Path, table: str, root: int) -> Path:
    """Make a raw disk with the table, whose partition 1 has ``root`` bytes, and no more."""
    with path.open("wb") as file:
        file.truncate(ROOT_AT + root + MIB)
    text = table.format(size=root // SECTOR)
    subprocess.run(["sfdisk", "-q", str(path)], input=text, text=True, check=True)
    return path


def as_qcow2(raw: Path) -> Path:
    path = raw.with_suffix(".qcow2")
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)]
    subprocess.run(command, check=True)
    return path


def overlay_of(base: Path, overlay: Path) -> Path:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2"]
    subprocess.run([*command, str(overlay)], check=True)
    return overlay


def as_raw(disk: str, path: Path) -> Path:
    command = ["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", disk, str(path)]
    subprocess.run(command, check=True)
    return path


def table_of(raw: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Return what sfdisk says against a disk's table, and its partitions by their numbers."""
    found = subprocess.run(["sfdisk", "-J", str(raw)], capture_output=True, check=True)
    said = subprocess.run(
        ["sfdisk", "--verify", str(raw)], capture_output=True, text=True, check=True
    )
    parts = json.loads(found.stdout)["partitiontable"]["partitions"]
    by_number = {part.pop("node").removeprefix(str(raw)): part for part in parts}
    return found.stderr.decode() + said.stderr, by_number


@pytest.mark.parametrize("label", TABLES)
@pytest.mark.parametrize("size", [300 * MIB, 3000 * MIB])
def test_a_table_that_was_written_anew_is_whole(tmp_path: Path, label: str, size: int) -> None:
    raw = laid_out(tmp_path / "base.raw", TABLES[label], 64 * MIB)
    _said, before = table_of(raw)
    (layer,) = chain.inspect(str(as_qcow2(raw)), "qcow2", ())
    head = qemu_img.head(layer, partitions.HEAD)
    assert head == raw.read_bytes()[: partitions.HEAD]
    overlay = overlay_of(Path(layer.path), tmp_path / "over lay.qcow2")
    patches = partitions.read(head, layer.size).grown(1, size)
    qemu_io.grow(str(overlay), "qcow2", size, patches)
    # Sparse: it takes no more than the table.
    assert overlay.stat().st_blocks * SECTOR < 2 * MIB
    grown = as_raw(str(overlay), tmp_path / "grown.raw")
    assert grown.stat().st_size == size
    said, after = table_of(grown)
    assert said == ""
    root = before.pop("1")
    end = size // SECTOR - (2048 if label == "gpt" else 0)
    assert after.pop("1") == {**root, "size": end - 8192}
    assert after == before


def test_a_pool_that_is_full(small: Path, tmp_path: Path) -> None:
    raw = laid_out(tmp_path / "base.raw", GPT, 4 * MIB)
    base = as_qcow2(raw)
    overlay = overlay_of(base, small / "overlay.qcow2")
    filler = small / "filler"
    done = subprocess.run(
        ["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True, check=False
    )
    assert b"No space left" in done.stderr
    (layer,) = chain.inspect(str(base), "qcow2", ())
    table = partitions.read(qemu_img.head(layer, partitions.HEAD), layer.size)
    try:
        with pytest.raises(NoRoom, match=r"can't be made larger: .*No space left on device"):
            qemu_io.grow(str(overlay), "qcow2", 300 * MIB, table.grown(1, 300 * MIB))
    finally:
        filler.unlink()
        overlay.unlink()


def grown_file_system(disk: str, folder: Path) -> tuple[int, str]:
    """Let the file system on partition 1 fill that, as the guest does; return its bytes and what
    e2fsck finds.
    """
    folder.mkdir()
    raw = as_raw(disk, folder / "whole.raw")
    said, parts = table_of(raw)
    assert said == ""
    part = folder / "part"
    size = int(parts["1"]["size"]) * SECTOR
    command = ["dd", f"if={raw}", f"of={part}", "bs=1M", "skip=4", f"count={size // MIB}"]
    subprocess.run([*command, "conv=sparse", "status=none"], check=True)
    os.truncate(part, size)
    before = volumes.problems(part, "ext4")
    subprocess.run(["resize2fs", "-f", str(part)], check=True, capture_output=True)
    shown = subprocess.run(
        ["dumpe2fs", "-h", str(part)], capture_output=True, text=True, check=True
    )
    found = dict(line.split(":", 1) for line in shown.stdout.splitlines() if ":" in line)
    size = int(found["Block count"]) * int(found["Block size"])
    return size, before + volumes.problems(part, "ext4")


def test_clones_with_a_larger_disk(host: Host, tmp_path: Path) -> None:
    files = {"etc/fstab": "/dev/vda1 / ext4 errors=remount-ro 0 1\n", GROWFS[0][1:]: "ELF"}
    tree = debian.make_tree(tmp_path / "tree", files)
    root = volumes.make(tmp_path / "root", "ext4", 64 * MIB, tree, ("-b", "4096"))
    raw = laid_out(tmp_path / "disk.raw", GPT, 64 * MIB)
    command = ["dd", f"if={root}", f"of={raw}", "bs=1M", "seek=4", "conv=sparse,notrunc"]
    subprocess.run([*command, "status=none"], check=True)
    host.add_image(raw, "large.original")
    about = {"image": "large.original", "disk_size_mib": 1024}
    linked = host.request("linked.example.jp", **about)
    full = host.request("full.example.jp", **about, clone_mode=CloneMode.FULL)
    small = host.request("small.example.jp", image="large.original", disk_size_mib=16)
    done = host.run(linked, full, small)
    assert [each.state for each in done[:2]] == [State.DONE] * 2, done
    assert done[2].failure.code == "disk_size_unsupported"
    assert "must be at least 69 MiB" in done[2].failure.text
    for request in done[:2]:
        (disk,) = request.vm.disks
        assert disk.capacity_bytes == 1024 * MIB
        made = host.connection.lookupByName(request.name)
        assert made.blockInfo("vda")[0] == 1024 * MIB
        size, problems = grown_file_system(disk.source, tmp_path / request.name)
        assert size == 1024 * MIB - ROOT_AT - MIB
        assert problems == ""
        looked = Disk(str(tmp_path / request.name / "part"), tmp_path / "look", "raw")
        assert looked.text("/etc/hostname") == f"{request.name}\n"
        fstab = "/dev/vda1 / ext4 errors=remount-ro,x-systemd.growfs 0 1\n"
        assert looked.text("/etc/fstab") == fstab
