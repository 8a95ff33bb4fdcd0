# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems in files, on partitions and in LVM's volume groups, made with no help of guests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import guestfs

MIB = 1 << 20


def make(path: Path, kind: str, size: int, tree: Path, options: Sequence[str] = ()) -> Path:
    """Make a file system (ext4, xfs or btrfs) of ``size`` bytes with the files of ``tree``."""
    with path.open("wb") as file:
        file.truncate(size)
    if kind == "xfs":
        _run("mkfs.xfs", "-q", *options, str(path))
        mountpoint = path.with_suffix(".mnt")
        mountpoint.mkdir()
        _run("mount", "-o", "loop", str(path), str(mountpoint))
        try:
            _run("cp", "-a", f"{tree}/.", str(mountpoint))
        finally:
            _run("umount", str(mountpoint))
    elif kind == "btrfs":
        _run("mkfs.btrfs", "-q", *options, "--rootdir", str(tree), str(path))
    else:
        _run("mke2fs", "-q", "-t", kind, *options, "-d", str(tree), "-E", "root_owner=0:0", path)
    return path


def partitioned(path: Path, part: Path) -> Path:
    """Make a disk whose only partition, from 1 MiB on, is a copy of ``part``."""
    size = part.stat().st_size
    with path.open("wb") as file:
        file.truncate(size + 2 * MIB)
    table = f"label: dos\nstart=2048, size={size // 512}, type=83\n"
    subprocess.run(["sfdisk", "-q", str(path)], input=table, text=True, check=True)
    _run("dd", f"if={part}", f"of={path}", "bs=1M", "seek=1", "conv=sparse,notrunc", "status=none")
    return path


def in_group(path: Path, parts: Mapping[str, Path]) -> Path:
    """Make a disk that is a physical volume, with copies of ``parts`` as logical volumes of vg0.

    They lie one after the other from 1 MiB on. The machine itself need not know LVM.
    """
    sizes = {name: part.stat().st_size for name, part in parts.items()}
    with path.open("wb") as file:
        file.truncate(sum(sizes.values()) + 16 * MIB)
    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend("direct")
    handle.set_backend_settings(["force_tcg"])
    handle.add_drive_opts(str(path), format="raw")
    for part in parts.values():
        handle.add_drive_opts(str(part), format="raw", readonly=True)
    handle.launch()
    handle.pvcreate("/dev/sda")
    handle.vgcreate("vg0", ["/dev/sda"])
    for letter, (name, size) in zip("bcd", sizes.items()):
        handle.lvcreate(name, "vg0", size // MIB)
        handle.copy_device_to_device(f"/dev/sd{letter}", f"/dev/vg0/{name}", sparse=True)
    handle.shutdown()
    handle.close()
    return path


def parts(disk: Path, places: Mapping[str, tuple[str, int, int]], folder: Path) -> dict[str, Path]:
    """Return the file systems of a qcow2 disk as files; ``places`` are (kind, offset, bytes)."""
    whole = folder / "whole.raw"
    _run("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", str(disk), str(whole))
    found = {}
    for number, (name, (_kind, offset, size)) in enumerate(places.items()):
        found[name] = folder / f"part{number}"
        place = (f"skip={offset // MIB}", f"count={size // MIB}", "conv=sparse", "status=none")
        _run("dd", f"if={whole}", f"of={found[name]}", "bs=1M", *place)
        with found[name].open("ab") as file:
            file.truncate(size)
    return found


def problems(part: Path, kind: str) -> str:
    """Return what the file system's own program finds; empty when it is clean."""
    command = ["xfs_repair", "-n", "-f"] if kind == "xfs" else ["e2fsck", "-fn"]
    done = subprocess.run([*command, str(part)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
