# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and guests start from: a root for hosts, a disk and a kernel for guests."""

from __future__ import annotations

import shutil
from pathlib import Path

from support import debian_root
from support.debian_root import Recipe
from support.run import remove_tree, run

HERE = Path(__file__).parent
GUEST_DISK_SIZE = "1G"

_HOST_PACKAGES = (
    "systemd-sysv dbus udev procps iproute2 iptables openssh-server openssh-client python3 "
    "python3-apt python3-zmq python3-libvirt python3-guestfs python3-pycdlib python3-yaml "
    "libguestfs-tools "
    "libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base "
    "linux-image-cloud-amd64 xfsprogs btrfs-progs e2fsprogs ca-certificates xz-utils zstd"
)
_GUEST_PACKAGES = (
    "systemd-sysv dbus udev ifupdown isc-dhcp-client iproute2 openssh-server python3 "
    "qemu-guest-agent linux-image-cloud-amd64"
)
# What a newcomer's machine is known to have; apt is there anyway.
_BARE_PACKAGES = "systemd-sysv git make ca-certificates"


def host_recipe() -> Recipe:
    """Return the recipe of the root that all hosts share."""
    return Recipe(tuple(_HOST_PACKAGES.split()), HERE / "host-root.sh")


def guest_recipe(ssh_public_key: str) -> Recipe:
    """Return the recipe of the original image; the key's owner may log in to it as root."""
    env = (("SSH_PUBLIC_KEY", ssh_public_key),)
    return Recipe(tuple(_GUEST_PACKAGES.split()), HERE / "guest-root.sh", env)


def host_root(cache: Path) -> Path:
    """Return the hosts' root, made first if it is not in `cache`."""
    return debian_root.make("host", host_recipe(), cache)


def bare_root(cache: Path) -> Path:
    """Return the root of a bare machine, made first if it is not in `cache`."""
    recipe = Recipe(tuple(_BARE_PACKAGES.split()), HERE / "bare-root.sh")
    return debian_root.make("bare", recipe, cache)


def guest_image(cache: Path, ssh_public_key: str) -> Path:
    """Return the folder with the original image's disk.qcow2, vmlinuz and initrd.img."""
    recipe = guest_recipe(ssh_public_key)
    final = cache / f"guest-{debian_root.digest(recipe.digest, GUEST_DISK_SIZE)}"
    if not final.exists():
        partial = cache / f"{final.name}.partial"
        remove_tree(partial)
        partial.mkdir(parents=True)
        root, raw = partial / "root", partial / "disk.raw"
        debian_root.mmdebstrap(recipe, root)
        shutil.copy(_only(root / "boot", "vmlinuz-*"), partial / "vmlinuz")
        shutil.copy(_only(root / "boot", "initrd.img-*"), partial / "initrd.img")
        run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, raw, GUEST_DISK_SIZE)
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, partial / "disk.qcow2")
        raw.unlink()
        remove_tree(root)
        partial.rename(final)
    return final


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def forget_older(cache: Path, keep: tuple[Path, ...]) -> None:
    """Remove what earlier recipes made. Nothing may run on it any more."""
    debian_root.forget_older(cache, ("host", "guest", "bare"), keep)
