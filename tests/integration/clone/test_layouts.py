# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests on several disks, in partitions and on LVM: prepared, then two clones customized."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

import pytest
from maglica.guest.appliance.appliance import Drive
from maglica.guest.clone_plan import plan
from maglica.guest.customize import Guest, customize
from maglica.guest.facts import Mount
from maglica.guest.identity import Identity, NicIdentity
from support import guest as debian
from support import volumes
from support.guest import Disk
from support.offline_base import prepare_offline

pytestmark = pytest.mark.timeout(600)

MIB = 1 << 20
NAMES = ("web0.example.jp", "web1.example.jp")


def make_trees(folder: Path, fstab: str) -> tuple[Path, Path]:
    """Return the guest's files without /var, and those of /var."""
    root = debian.make_tree(folder / "tree", {"etc/fstab": fstab})
    var = folder / "var"
    shutil.move(root / "var", var)
    (root / "var").mkdir()
    return root, var


def prepared_clones(bases: list[Path]) -> tuple[list[Mount], list[list[str]], bool]:
    """Prepare the guest on ``bases`` and customize two clones; return mounts and overlays."""
    qcow2 = [path.with_suffix(".qcow2") for path in bases]
    for raw, path in zip(bases, qcow2):
        command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)]
        subprocess.run(command, check=True)
    facts = prepare_offline([Drive(str(path), "qcow2") for path in qcow2])
    guests, overlays = [], []
    for name in NAMES:
        mine = [str(path.with_name(f"{name}.{path.name}")) for path in qcow2]
        for path, overlay in zip(qcow2, mine):
            command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(path), "-F", "qcow2"]
            subprocess.run([*command, overlay], check=True)
        identity = Identity(name, "0" * 32, (NicIdentity("52:54:00:00:00:01"),), (), b"seed")
        guests.append(
            Guest(name, tuple(Drive(path, "qcow2") for path in mine), plan(facts, identity))
        )
        overlays.append(mine)
    results = customize(guests, facts, use_kvm=False)
    assert results == dict.fromkeys(NAMES)
    return list(facts.mounts), overlays, facts.shared


def partition(path: Path, tree: Path) -> Path:
    """Make a disk of 24 MiB whose only partition, from 1 MiB on, has the files of ``tree``."""
    with path.open("wb") as file:
        file.truncate(24 * MIB)
    table = "label: dos\nstart=2048, type=83\n"
    subprocess.run(["sfdisk", "-q", str(path)], input=table, text=True, check=True)
    command = ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-E", f"offset={MIB},root_owner=0:0"]
    subprocess.run([*command, str(path), "22M"], check=True, capture_output=True)
    return path


def look(overlay: str, folder: Path) -> Disk:
    """Return the partition of an overlay to look into."""
    part = volumes.parts(Path(overlay), {"/": ("ext4", MIB, 22 * MIB)}, folder)["/"]
    return Disk(str(part), folder / "look", "raw")


def test_two_disks_with_partitions_share_an_appliance(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # Of the two disks that are there while the base is prepared a third would be the appliance's.
    root, var = make_trees(
        tmp_path,
        "/dev/vda1 / ext4 defaults 0 1\n/dev/vdb1 /var ext4 x 0 2\n"
        "/dev/vdc /var/lib/data ext4 nofail 0 2\n",
    )
    disks = [partition(tmp_path / "root.raw", root), partition(tmp_path / "var.raw", var)]
    mounts, overlays, shared = prepared_clones(disks)
    assert mounts == [Mount("/", "/dev/sda1"), Mount("/var", "/dev/sdb1")]
    assert shared
    assert [text for text in caplog.messages if text.startswith("appliance launched: drives=4")]
    for name, (root_disk, var_disk) in zip(NAMES, overlays):
        assert look(root_disk, tmp_path).text("/etc/hostname") == f"{name}\n"
        looked = look(var_disk, tmp_path)
        assert looked.text("/lib/systemd/random-seed") == "seed"
        assert looked.names("/lib/dhcp") == []
        assert looked.problems() == ""


def test_clones_on_lvm_have_an_appliance_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root, var = make_trees(
        tmp_path, "/dev/vg0/root / ext4 defaults 0 1\n/dev/vg0/var /var ext4 x 0 2\n"
    )
    size = 40 * MIB
    made = {
        "root": volumes.make(tmp_path / "root", "ext4", size, root),
        "var": volumes.make(tmp_path / "var.ext4", "ext4", size, var),
    }
    disk = volumes.in_group(tmp_path / "lvm.raw", made)
    mounts, overlays, shared = prepared_clones([disk])
    assert mounts == [Mount("/", "/dev/vg0/root"), Mount("/var", "/dev/vg0/var")]
    assert not shared
    launches = [text for text in caplog.messages if text.startswith("appliance launched")]
    assert len(launches) == 3
    places = {"/": ("ext4", MIB, size)}
    part = volumes.parts(Path(overlays[-1][0]), places, tmp_path)["/"]
    assert Disk(str(part), tmp_path / "look", "raw").text("/etc/hostname") == f"{NAMES[-1]}\n"
