# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks libguestfs which system is on the attached disks, and which of its file systems matter."""

from __future__ import annotations

import logging
import posixpath
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..model.errors import GuestUnreadable, GuestUnsupported
from . import inodes
from .appliance.appliance import Appliance
from .cloud_init.inspect import LABEL
from .facts import Area, GuestFacts, Mount
from .growth import FSTAB
from .inspect import OperatingSystem

# File systems of which several with the same UUID may be attached, and mounted one after the other.
_INDEPENDENT = frozenset({"ext2", "ext3", "ext4", "vfat", "swap", "unknown", ""})
# File systems that keep no checksums of a file's bytes, and never compress them.
_UNCHECKED = frozenset({"ext2", "ext3", "ext4", "xfs", "vfat"})
_PLAIN_DEVICE = re.compile(r"/dev/sd[a-z]+\d*")
# Where the files lie that are read, cleared or written.
_MOUNTPOINTS = re.compile(
    r"/|/etc(/.*)?|/root(/.*)?|/var|/var/lib(/.*)?|/usr|/usr/local|/boot(/efi)?|/efi"
)
# Where users' homes, their shells and the files of their accounts lie.
_USER_MOUNTPOINTS = re.compile(r"/|/etc|/root|/usr|/usr/local|/var|/var/home|/home(/.*)?|/opt|/srv")
_MAX_MOUNTS = 32
_BTRFS_VOLUME = re.compile(r"btrfsvol:(?P<device>/dev/sd[a-z]+(?P<number>\d*))(?P<volume>/.*)")
_READ_LIMIT, _READ_SECONDS = 1024 * 1024, 120

log = logging.getLogger(__name__)


def find_system(appliance: Appliance) -> OperatingSystem:
    """Inspect the attached disks, which must hold one Linux system.

    Raises GuestUnreadable when there is none, GuestUnsupported when it is another or one of many.
    """
    handle = appliance.handle
    begun = time.monotonic()
    with appliance.asking("inspect its disks"):
        roots = handle.inspect_os()
        log.info("guest inspected: systems=%d seconds=%.1f", len(roots), time.monotonic() - begun)
        if not roots:
            raise GuestUnreadable("libguestfs finds no operating system on its disks")
        if len(roots) > 1:
            where = ", ".join(roots)
            raise GuestUnsupported(f"it has {len(roots)} operating systems, on {where:.200}")
        root = roots[0]
        if handle.inspect_get_type(root) != "linux":
            raise GuestUnsupported(f"its system is {handle.inspect_get_product_name(root)!r:.200}")
        said = handle.list_filesystems()
        kinds = {as_attached(device, said): kind for device, kind in said.items()}
        mounts = _mounts(handle, root, _MOUNTPOINTS, said)
        users = _mounts(handle, root, _USER_MOUNTPOINTS, said)
        version = f"{handle.inspect_get_major_version(root)}"
        root = as_attached(root, said)
        mounts = _without_missing(appliance, mounts, root, kinds)
        users = tuple(each for each in users if each in mounts or _is_there(each.device, kinds))
        return OperatingSystem(
            mounts=mounts,
            distro=handle.inspect_get_distro(roots[0]),
            version=version,
            shared=_is_independent(kinds, handle.list_md_devices())
            and all(_PLAIN_DEVICE.fullmatch(mount.device) for mount in mounts),
            is_plain=_is_plain(handle, mounts, kinds),
            root_kind=kinds.get(root, ""),
            user_mounts=users,
            seed=next(_seeds(handle, kinds), ""),
        )


def as_attached(device: str, kinds: Mapping[str, str]) -> str:
    """Return the name of a device by the order in which the disks were attached.

    So libguestfs names all, but before 1.58 (its commit c7b204bc) not the volumes of a btrfs: these
    have the name that the appliance's kernel gave the disk, and it may have found its own first.
    Their device is that which has a btrfs, and this number as a partition; where several have,
    nothing is changed. ``kinds`` are the file systems as libguestfs lists them.
    """
    volume = _BTRFS_VOLUME.fullmatch(device)
    if volume is None or kinds.get(volume["device"]) == "btrfs":
        return device
    like = re.compile(rf"/dev/sd[a-z]+{volume['number']}")
    there = [each for each, kind in kinds.items() if kind == "btrfs" and like.fullmatch(each)]
    return f"btrfsvol:{there[0]}{volume['volume']}" if len(there) == 1 else device


def _seeds(handle: Any, kinds: Mapping[str, str]) -> Iterator[str]:
    for device, kind in kinds.items():
        if kind in ("iso9660", "vfat") and handle.vfs_label(device).strip().lower() == LABEL:
            yield device


def _mounts(
    handle: Any, root: str, where: re.Pattern[str], kinds: Mapping[str, str]
) -> tuple[Mount, ...]:
    """Return what fstab(5) mounts at such places."""

    def named(mountpoint: str, device: str) -> str:
        # It may name /dev/vda1; the appliance has all disks as /dev/sd…
        known = root if mountpoint == "/" else handle.canonical_device_name(device)
        return as_attached(known, kinds)

    mounts = tuple(
        Mount(mountpoint, named(mountpoint, device))
        for mountpoint, device in sorted(handle.inspect_get_mountpoints(root).items())
        if where.fullmatch(mountpoint)
    )
    _check_mounts(mounts)
    return mounts


def _is_plain(handle: Any, mounts: Iterable[Mount], kinds: Mapping[str, str]) -> bool:
    """Tell whether a file's bytes lie on the disks as they are, and nothing else depends on them.

    So it is with ext2 to 4 and xfs, on partitions and on logical volumes that are linear or
    striped: these have no parity, mirrors, checksums or snapshots of data.
    """
    return all(
        kinds.get(mount.device) in _UNCHECKED
        and (_PLAIN_DEVICE.fullmatch(mount.device) or _is_linear(handle, mount.device))
        for mount in mounts
    )


def _is_linear(handle: Any, device: str) -> bool:
    """Tell whether a device is a logical volume that lvs(8) shows as linear or striped."""
    if device not in handle.lvs():
        return False
    own = handle.lvuuid(device).replace("-", "")
    attributes = {each["lv_uuid"].replace("-", ""): each["lv_attr"] for each in handle.lvs_full()}
    return str(attributes.get(own, "")).startswith("-")


def _check_mounts(mounts: tuple[Mount, ...]) -> None:
    """Refuse what fstab(5) of the guest says when it leads out of the guest, or nowhere near."""
    odd = [mount.mountpoint for mount in mounts if ".." in mount.mountpoint.split("/")]
    if odd or len(mounts) > _MAX_MOUNTS:
        what = f"a file system at {odd[0]!r:.100}" if odd else f"{len(mounts)} file systems"
        raise GuestUnsupported(f"its /etc/fstab has {what}")


def _without_missing(
    appliance: Appliance, mounts: tuple[Mount, ...], root: str, kinds: Mapping[str, str]
) -> tuple[Mount, ...]:
    """Leave out the file systems that are not there and that the guest starts without.

    What has no device here would get that of the appliance's own disk. Raises GuestUnsupported.
    """
    there = [each for each in mounts if each.device == root or _is_there(each.device, kinds)]
    missing = [each for each in mounts if each not in there]
    if missing:
        with appliance.mounted((Mount("/", root),), _READ_SECONDS) as filesystem:
            text = (filesystem.read(FSTAB, _READ_LIMIT) or b"").decode("utf-8", "replace")
        for needed in (each for each in missing if each.mountpoint not in dispensable(text)):
            raise GuestUnsupported(
                f"its {FSTAB} mounts {needed.mountpoint:.100} from {needed.device!r:.100}, which is"
                " on none of its disks: remove that line, or add nofail to it, in the image"
            )
    return tuple(there)


def _is_there(device: str, kinds: Mapping[str, str]) -> bool:
    # Of a btrfs the whole device is among them, whichever of its volumes is mounted.
    volume = device.removeprefix("btrfsvol:")
    return any(volume == each or volume.startswith(f"{each}/") for each in kinds)


def dispensable(fstab: str) -> frozenset[str]:
    """Return where fstab(5) mounts what may be missing when the guest starts."""
    found = set()
    for line in fstab.split("\n"):
        words = line.split()
        if len(words) > 3 and not {"nofail", "noauto"}.isdisjoint(words[3].split(",")):
            found.add(posixpath.normpath(words[1]))
    return frozenset(found)


def _is_independent(filesystems: dict[str, str], md_devices: Iterable[str]) -> bool:
    """Tell whether no volume manager would confuse two copies of these disks."""
    return not list(md_devices) and all(
        _PLAIN_DEVICE.fullmatch(device) and kind in _INDEPENDENT
        for device, kind in filesystems.items()
    )


def with_inodes(
    appliance: Appliance, facts: GuestFacts, numbers: Mapping[str, int]
) -> tuple[Area, ...]:
    """Return the areas with what is known of their inodes; ``numbers`` are these by path.

    For file systems that are unmounted: what was written is on the device then.
    """
    made: list[Area] = []
    with appliance.asking("look at its inodes"):
        for mount in facts.mounts:
            appliance.handle.blockdev_flushbufs(mount.device)
        for area in facts.areas:
            device = holding(facts.mounts, (area.path,))[-1].device

            def read(offset: int, length: int, device: str = device) -> bytes:
                return bytes(appliance.handle.pread_device(device, length, offset))

            inode = inodes.find(read, numbers[area.path], area.size)
            made.append(replace(area, inode=inode))
    return tuple(made)


def holding(mounts: Iterable[Mount], paths: Iterable[str]) -> tuple[Mount, ...]:
    """Return those of ``mounts`` (sorted) on which ``paths`` lie, with / always among them."""
    known = list(paths)
    return tuple(
        mount
        for mount in mounts
        if mount.mountpoint == "/" or any(path.startswith(f"{mount.mountpoint}/") for path in known)
    )
