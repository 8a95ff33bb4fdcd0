# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a guest: frozen values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .cloud_init.facts import SeedFacts


@dataclass(frozen=True)
class Mount:
    """A file system of the guest: where it is mounted, and its device as the appliance names it.

    Devices of plain partitions are those of an appliance to which only this guest's disks are
    attached, in the order of the definition: ``/dev/sda1`` is on the first disk.
    """

    mountpoint: str
    device: str


@dataclass(frozen=True)
class GuestInterface:
    """A network interface as the guest's configuration has it.

    Without a name it stands for all that have none of their own. ``inet6`` is the method of its
    IPv6 configuration when it is an automatic one, and ``options`` are the lines of its
    configuration that say nothing about addresses and are to be kept; ``inet6_options`` those that
    count for IPv6 only, where that is configured apart.
    """

    name: str
    hotplug: bool = False
    inet6: str | None = None
    options: tuple[str, ...] = ()
    inet6_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extent:
    """Bytes of a file that lie together: ``length`` from ``offset`` on, of disk number ``drive``.

    ``place`` is where they begin in the base's own file.
    """

    drive: int
    offset: int
    length: int
    place: int


@dataclass(frozen=True)
class Inode:
    """Where a file system ("ext" or "xfs") keeps the size of a file that lies in one block.

    ``content`` are the bytes on the base, in hexadecimal digits, ``distance`` is from the file's
    first byte to them, ``seed`` what their checksum begins with (None: they have none). ``extent``
    is their place on the disks, known when the same bytes were found there.
    """

    kind: str
    content: str = field(repr=False)
    distance: int
    seed: int | None
    extent: Extent | None = None


@dataclass(frozen=True)
class Area:
    """A file of the base that clones write into from outside the guest: up to ``size`` bytes.

    ``extents`` are its bytes in their order; they hold a known fill until a clone replaces it.
    Without ``inode`` a clone's file can't be shorter: its last line is a comment for the rest.
    """

    path: str
    size: int
    extents: tuple[Extent, ...] = ()
    inode: Inode | None = None


@dataclass(frozen=True)
class GuestFacts:
    """What an inspection found; kept as JSON with the base, so that no clone inspects again.

    ``shared``: overlays of this guest can be attached to one appliance together.
    ``laid_out``: files that exist on the base with their final owner and mode, to be filled.
    ``areas``: the same files, when all their bytes were found on the disks; with none, clones are
    customized in an appliance. ``fill`` begins each sector of what areas hold on the base.
    ``resolver``: "file" when /etc/resolv.conf is a plain file of the guest, else "managed".
    ``resolv_conf``: what it says then.
    ``drop_ins``: the guest's network configuration reads files beside its main one.
    ``addresses``: static addresses that the guest had, which no clone may take over.
    ``root_kind``: the type of the file system that is mounted at /, as libguestfs names it.
    ``user_mounts``: where a user's home, shell and files of accounts may be; only who gets a user
    needs all of these.
    ``has_growfs``: systemd-growfs(8) is there. ``root_in_fstab``: fstab(5) has a line for it.
    """

    mounts: tuple[Mount, ...]
    distro: str
    version: str
    network: str
    hostname: str
    hosts: str
    shared: bool
    interfaces: tuple[GuestInterface, ...] = ()
    loopback: GuestInterface = GuestInterface("lo")
    addresses: tuple[str, ...] = ()
    drop_ins: bool = True
    resolver: str = "file"
    resolv_conf: str = ""
    ssh_host_keys: tuple[str, ...] = ()
    random_seed: str | None = None
    authorized_keys: str = ""
    laid_out: tuple[str, ...] = ()
    areas: tuple[Area, ...] = ()
    fill: str = ""
    root_kind: str = ""
    has_growfs: bool = False
    root_in_fstab: bool = False
    user_mounts: tuple[Mount, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> GuestFacts:
        """Return the facts that ``to_json`` gave, also after a way through JSON."""
        known = {key: _tuples(value) for key, value in data.items()}
        known["mounts"] = tuple(Mount(**entry) for entry in data["mounts"])
        known["user_mounts"] = tuple(Mount(**entry) for entry in data.get("user_mounts", ()))
        known["interfaces"] = tuple(_interface(entry) for entry in data["interfaces"])
        known["loopback"] = _interface(data["loopback"])
        known["areas"] = tuple(_area(entry) for entry in data.get("areas", ()))
        return cls(**known)


@dataclass(frozen=True)
class Seen:
    """What one look at an image found of its guest; kept as JSON, so that nobody looks again.

    The first four are words to be shown: what the guest calls itself and its release, what
    configures its network, and the file system at / with what that lies on. ``cloud_init``: why its
    cloud-init would not obey, to follow "its cloud-init"; ``offline``: why it can't be customized
    offline, a sentence. None: it can. ``seed`` is for clones by cloud-init, and None where it would
    not obey; ``is_clean``: then nothing is to be changed on their base.
    """

    distro: str = ""
    release: str = ""
    stack: str = ""
    layout: str = ""
    cloud_init: str | None = None
    offline: str | None = None
    seed: SeedFacts | None = None
    is_clean: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Seen:
        """Return what ``to_json`` gave, also after a way through JSON."""
        seed = None if data["seed"] is None else SeedFacts.from_json(data["seed"])
        return cls(**{**data, "seed": seed})


def _interface(data: dict[str, Any]) -> GuestInterface:
    return GuestInterface(**{key: _tuples(value) for key, value in data.items()})


def _area(data: dict[str, Any]) -> Area:
    extents = tuple(Extent(**entry) for entry in data["extents"])
    return Area(data["path"], data["size"], extents, _inode(data["inode"]))


def _inode(data: dict[str, Any] | None) -> Inode | None:
    if data is None:
        return None
    return Inode(**{**data, "extent": data["extent"] and Extent(**data["extent"])})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
