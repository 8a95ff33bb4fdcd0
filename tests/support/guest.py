# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest of a few files that libguestfs takes for a Debian system; it can not boot."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

HOSTNAME = "image.example.jp"
MACHINE_ID = "0123456789abcdef0123456789abcdef"
INTERFACES = """\
source /etc/network/interfaces.d/*
auto lo
iface lo inet loopback
allow-hotplug eth0
iface eth0 inet static
    address 192.0.2.10/24
    gateway 192.0.2.1
    mtu 1400
iface eth0 inet6 auto
"""
FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "etc/debian_version": "12.7\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/hostname": f"{HOSTNAME}\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 image.example.jp image\n192.0.2.99 other\n"
    "192.0.2.10 image.example.jp db\n",
    "etc/machine-id": f"{MACHINE_ID}\n",
    "etc/network/interfaces": INTERFACES,
    "etc/network/interfaces.d/more": "auto eth1\niface eth1 inet dhcp\n",
    "etc/resolv.conf": "nameserver 192.0.2.53\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n",
    "etc/group": "root:x:0:\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/dhcp/dhclient.conf": 'send host-name "image";\nrequest subnet-mask;\n',
    "etc/ssh/ssh_host_ed25519_key": "old private key\n",
    "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA image\n",
    "etc/ssh/ssh_host_ecdsa_key": "old private key\n",
    "etc/udev/rules.d/70-persistent-net.rules": "# old\n",
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAAKEPT admin\n",
    "usr/sbin/ifup": "#!/bin/sh\n",
    "var/lib/dhcp/dhclient.eth0.leases": 'default-duid "old";\n',
    "var/lib/dbus/machine-id": f"{MACHINE_ID}\n",
    "var/lib/dpkg/status": "",
    "var/lib/systemd/random-seed": "old seed",
}
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib"}


def make_tree(root: Path, changes: Mapping[str, str | None] | None = None) -> Path:
    """Make the guest's files below ``root``; ``changes`` replaces, adds or (None) leaves out."""
    files: dict[str, str | None] = {**FILES, **(changes or {})}
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "etc", "dev", "proc", "sys", "tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)
    for name, content in files.items():
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
    (root / "root/.ssh").chmod(0o700)
    return root


def make_disk(path: Path, tree: Path, mib: int = 24, kind: str = "ext4") -> Path:
    """Make the raw disk ``path`` of ``mib`` MiB with the files of ``tree``, without partitions."""
    # Blocks as those of real disks; a file system so small would have some of 1 KiB.
    command = ["mke2fs", "-q", "-t", kind, "-b", "4096", "-d", str(tree)]
    command += ["-E", "root_owner=0:0", str(path)]
    subprocess.run([*command, f"{mib}M"], check=True, capture_output=True)
    return path


def leave_unclean(disk: Path, mountpoint: Path) -> None:
    """Make ``disk`` look as after a power cut: its journal has what the file system lacks."""
    mountpoint.mkdir()
    live = disk.with_suffix(".live")
    disk.rename(live)
    subprocess.run(["mount", "-o", "loop", str(live), str(mountpoint)], check=True)
    try:
        (mountpoint / "etc/late").write_text("written last\n")
        subprocess.run(["sync", "-f", str(mountpoint / "etc/late")], check=True)
        subprocess.run(["cp", "--sparse=always", str(live), str(disk)], check=True)
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)
    live.unlink()


class Disk:
    """A vm's disk to look into: a raw copy of it, read with debugfs."""

    def __init__(self, volume: str, copy: Path, kind: str = "qcow2") -> None:
        command = ["qemu-img", "convert", "-U", "-f", kind, "-O", "raw", volume, str(copy)]
        subprocess.run(command, check=True)
        self._copy = copy

    def text(self, path: str) -> str:
        """Return a file's content; none if it is not there."""
        return self._debugfs(f"cat {path}")

    def mode(self, path: str) -> str:
        """Return "MODE UID GID", the mode in octal."""
        words = self._debugfs(f"stat {path}").replace(":", ": ").split()
        found = {word: words[i + 1] for i, word in enumerate(words) if word.endswith(":")}
        return f"{found['Mode:']} {found['User:']} {found['Group:']}"

    def names(self, folder: str) -> list[str]:
        lines = self._debugfs(f"ls -p {folder}").splitlines()
        names = [line.split("/")[5] for line in lines if line.startswith("/")]
        return sorted(name for name in names if name not in (".", ".."))

    def problems(self) -> str:
        """Return what e2fsck finds; empty when the file system is clean."""
        done = subprocess.run(
            ["e2fsck", "-fn", str(self._copy)], capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode else ""

    def _debugfs(self, request: str) -> str:
        done = subprocess.run(
            ["debugfs", "-R", request, str(self._copy)], capture_output=True, check=True
        )
        return done.stdout.decode("utf-8", "surrogateescape")
