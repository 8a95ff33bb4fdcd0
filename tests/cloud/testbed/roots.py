# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and guests start from: a root for hosts, a disk and a kernel for guests.

Both are made by mmdebstrap once and kept under a digest of what went into them. They are made
under another name and renamed when complete, so what has its final name is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.run import remove_tree, run

HERE = Path(__file__).parent
SUITE = "bookworm"
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
_UNREAD = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Recipe:
    """What a root is made of."""

    packages: tuple[str, ...]
    hook: str
    """Name of the script beside this file that finishes the root."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables that the script reads."""

    @property
    def command(self) -> list[str]:
        """mmdebstrap and its options, but for what depends on the checkout's path."""
        return [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
            # The scripts decide what identity stays in a root.
            "--skip=cleanup/reproducible",
            "--include=" + ",".join(self.packages),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _UNREAD),
            '--aptopt=APT::Install-Recommends "false"',
        ]

    @property
    def digest(self) -> str:
        """Changes with anything that the result depends on, but for the archive's versions."""
        parts = [
            *self.command,
            SUITE,
            (HERE / self.hook).read_text(),
            repr(self.env),
            GUEST_DISK_SIZE,
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def host_recipe() -> Recipe:
    """Return the recipe of the root that all hosts share."""
    return Recipe(tuple(_HOST_PACKAGES.split()), "host-root.sh")


def guest_recipe(ssh_public_key: str) -> Recipe:
    """Return the recipe of the original image; the key's owner may log in to it as root."""
    env = (("SSH_PUBLIC_KEY", ssh_public_key),)
    return Recipe(tuple(_GUEST_PACKAGES.split()), "guest-root.sh", env)


def host_root(cache: Path) -> Path:
    """Return the hosts' root, made first if it is not in `cache`."""
    return _root("host", host_recipe(), cache)


def bare_root(cache: Path) -> Path:
    """Return the root of a bare machine, made first if it is not in `cache`."""
    return _root("bare", Recipe(tuple(_BARE_PACKAGES.split()), "bare-root.sh"), cache)


def _root(kind: str, recipe: Recipe, cache: Path) -> Path:
    final = cache / f"{kind}-{recipe.digest}"
    if not final.exists():
        partial = cache / f"{final.name}.partial"
        remove_tree(partial)
        _mmdebstrap(recipe, partial)
        partial.rename(final)
    return final


def guest_image(cache: Path, ssh_public_key: str) -> Path:
    """Return the folder with the original image's disk.qcow2, vmlinuz and initrd.img."""
    recipe = guest_recipe(ssh_public_key)
    final = cache / f"guest-{recipe.digest}"
    if not final.exists():
        partial = cache / f"{final.name}.partial"
        remove_tree(partial)
        partial.mkdir(parents=True)
        root, raw = partial / "root", partial / "disk.raw"
        _mmdebstrap(recipe, root)
        shutil.copy(_only(root / "boot", "vmlinuz-*"), partial / "vmlinuz")
        shutil.copy(_only(root / "boot", "initrd.img-*"), partial / "initrd.img")
        run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, raw, GUEST_DISK_SIZE)
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, partial / "disk.qcow2")
        raw.unlink()
        remove_tree(root)
        partial.rename(final)
    return final


def _mmdebstrap(recipe: Recipe, target: Path) -> None:
    """Make a root. In namespaces of its own, so that a kill leaves no mount and no process."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run(
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *recipe.command,
        f"--customize-hook={HERE / recipe.hook}",
        SUITE,
        target,
        env={**os.environ, "LC_ALL": "C.UTF-8", **dict(recipe.env)},
    )


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def forget_older(cache: Path, keep: tuple[Path, ...]) -> None:
    """Remove what earlier recipes made. Nothing may run on it any more."""
    for kind in ("host", "guest", "bare"):
        for path in cache.glob(f"{kind}-*"):
            if path not in keep:
                remove_tree(path)
