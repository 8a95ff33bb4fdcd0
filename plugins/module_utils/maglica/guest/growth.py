# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest's root file system fills a larger disk, and what has it do so at its first boot.

systemd-growfs(8) does when fstab(5) has its word for the mount; at an unchanged size it does
nothing. So does cloud-init. The partition must have grown before. Pure.
"""

from __future__ import annotations

import re

from ..model.errors import DiskSizeUnsupported
from .cloud_init.facts import SeedFacts
from .facts import GuestFacts

FSTAB = "/etc/fstab"
GROWFS = ("/usr/lib/systemd/systemd-growfs", "/lib/systemd/systemd-growfs")
_WORD = "x-systemd.growfs"
# What it can make larger while it is mounted.
_KINDS = ("ext4", "xfs", "btrfs")
_LINE = re.compile(r"[ \t]*[^\s#]\S*[ \t]+/[ \t]+[^\s#]\S*(?P<options>[ \t]+[^\s#]\S*)?")
# The first disk, or a partition of it, as an appliance names it; a part of a btrfs is named so too.
_DEVICE = re.compile(r"(?:btrfsvol:)?(/dev/sd[a-z]+)([0-9]*)(?:/.*)?")


def with_growfs(fstab: str) -> str | None:
    """Return fstab(5) such that / grows at boot; None where no line mounts it for writing."""
    lines = fstab.split("\n")
    for index, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        options = (match["options"] or " defaults").strip().split(",")
        if "ro" in options:
            return None
        if _WORD not in options:
            start = match.end() if match["options"] is None else match.start("options")
            lines[index] = f"{line[:start]} {','.join([*options, _WORD])}{line[match.end() :]}"
        return "\n".join(lines)
    return None


def partition(facts: GuestFacts) -> int:
    """Return the number of the partition of the first disk which has to grow; 0: there is none,
    the file system is straight on the disk.

    Raises DiskSizeUnsupported for a guest whose root file system would not fill it.
    """
    root = next(mount.device for mount in facts.mounts if mount.mountpoint == "/")
    number = _partition_of(root, facts.root_kind)
    if not facts.has_growfs:
        raise DiskSizeUnsupported("there is no systemd-growfs in the guest to do it")
    if not facts.root_in_fstab:
        raise DiskSizeUnsupported(f"its {FSTAB} has no line that mounts / for writing")
    return number


def seeded_partition(facts: SeedFacts) -> int:
    """Return the same of a guest that has its cloud-init grow the file system."""
    number = _partition_of(facts.root_device, facts.root_kind)
    if not facts.grows:
        raise DiskSizeUnsupported(
            "its cloud-init does not let the root file system grow (its modules growpart, resizefs)"
        )
    return number


def _partition_of(root: str, kind: str) -> int:
    match = _DEVICE.fullmatch(root)
    if match is None:
        where = f"on {root:.100}, a volume of LVM, RAID or encryption" if root else "not found"
        raise DiskSizeUnsupported(f"its root file system is {where}")
    if match[1] != "/dev/sda":
        raise DiskSizeUnsupported("its root file system is not on its first disk")
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise DiskSizeUnsupported(
            f"its root file system is {kind or 'unknown'!r:.100}; these grow: {known}"
        )
    return int(match[2] or 0)


def grows(facts: GuestFacts) -> bool:
    """Tell whether a guest's root file system would fill a larger disk."""
    try:
        partition(facts)
    except DiskSizeUnsupported:
        return False
    return True


def layout(root: str, kind: str) -> str:
    """Return the file system at / and what it lies on, in words that are shown."""
    match = _DEVICE.fullmatch(root)
    if match is None:
        return f"{kind:.40} on {'RAID' if root.startswith('/dev/md') else 'LVM'}"
    return f"{kind:.40}" if match[2] else f"{kind:.40} without partitions"
