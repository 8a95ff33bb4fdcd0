# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that are made of Debian's packages, each a disk as those that are offered for clouds.

Disks are kept under a digest of all that they are made of, and so are the roots that they share.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from support import debian_root
from support.debian_root import Recipe

from . import disk, files

HERE = Path(__file__).parent
# What makes a disk, in Debian packages.
PACKAGES = (
    *("mmdebstrap", "debian-archive-keyring", "qemu-utils", "fdisk", "dosfstools", "mtools"),
    *("e2fsprogs", "xfsprogs", "btrfs-progs"),
)
SUITES = {12: "bookworm", 13: "trixie"}

_COMMON = (
    "systemd-sysv dbus udev libpam-systemd iproute2 openssh-server python3 sudo qemu-guest-agent "
    "linux-image-cloud-amd64 e2fsprogs xfsprogs btrfs-progs grub-pc-bin grub-efi-amd64-bin "
    "cloud-init cloud-guest-utils fdisk"
)
_NETPLAN = "netplan.io systemd-resolved"
_OF_NETWORK = {
    "netplan": _NETPLAN,
    "networkd": _NETPLAN,
    "ifupdown": "ifupdown isc-dhcp-client",
}


@dataclass(frozen=True)
class Guest:
    """A guest: which Debian, on which file system, and what configures its network.

    A template is no image for clouds: somebody has installed it, used it and shut it down, and
    its cloud-init is disabled.
    """

    release: int
    filesystem: str
    network: str = "netplan"
    is_template: bool = False

    @property
    def name(self) -> str:
        """What tells it from others, in a file's name."""
        kind = "-template" if self.is_template else ""
        return f"debian-{self.release}-{self.filesystem}-{self.network}{kind}"

    @property
    def root(self) -> Recipe:
        """The recipe of its root, which others share."""
        packages = f"{_COMMON} {_OF_NETWORK[self.network]}".split()
        return Recipe(tuple(packages), HERE / "root.sh", suite=SUITES[self.release])

    @property
    def digest(self) -> str:
        """Changes with anything that the disk depends on, but for the archive's versions."""
        sources = [(HERE / name).read_text() for name in ("disk.py", "files.py", "lay.sh")]
        return debian_root.digest(self.root.digest, self.name, *sources)


def build(guest: Guest, cache: Path) -> Path:
    """Return the guest's qcow2 disk, made first if it is not in `cache`."""
    final = cache / f"{guest.name}-{guest.digest}.qcow2"
    if not final.exists():
        root = debian_root.make("root", guest.root, cache)
        partial = final.with_suffix(".partial")
        write = functools.partial(files.write, network=guest.network, is_template=guest.is_template)
        disk.make(root, guest.filesystem, write, partial)
        partial.rename(final)
    return final


def forget_older(cache: Path, guests: tuple[Guest, ...]) -> None:
    """Remove what other recipes than those of `guests` have made."""
    keep = {cache / f"root-{guest.root.digest}" for guest in guests}
    keep |= {cache / f"{guest.name}-{guest.digest}.qcow2" for guest in guests}
    debian_root.forget_older(cache, ("root", "debian"), tuple(keep))
