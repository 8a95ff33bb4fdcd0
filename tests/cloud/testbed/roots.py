# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts, and the bare machine, start from."""

from __future__ import annotations

from pathlib import Path

from support import debian_root
from support.debian_root import Recipe

HERE = Path(__file__).parent

_HOST_PACKAGES = (
    "systemd-sysv dbus udev procps iproute2 iptables openssh-server openssh-client sudo python3 "
    "python3-apt python3-zmq python3-libvirt python3-guestfs python3-pycdlib python3-yaml "
    "libguestfs-tools "
    "libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils ovmf dnsmasq-base "
    "linux-image-cloud-amd64 xfsprogs btrfs-progs e2fsprogs ca-certificates xz-utils zstd"
)
# What a newcomer's machine is known to have; apt is there anyway.
_BARE_PACKAGES = "systemd-sysv git make ca-certificates"


def host_recipe() -> Recipe:
    """Return the recipe of the root that all hosts share."""
    return Recipe(tuple(_HOST_PACKAGES.split()), HERE / "host-root.sh")


def host_root(cache: Path) -> Path:
    """Return the hosts' root, made first if it is not in `cache`."""
    return debian_root.make("host", host_recipe(), cache)


def bare_root(cache: Path) -> Path:
    """Return the root of a bare machine, made first if it is not in `cache`."""
    recipe = Recipe(tuple(_BARE_PACKAGES.split()), HERE / "bare-root.sh")
    return debian_root.make("bare", recipe, cache)


def forget_older(cache: Path, keep: tuple[Path, ...]) -> None:
    """Remove what earlier recipes made. Nothing may run on it any more."""
    debian_root.forget_older(cache, ("host", "bare"), keep)
