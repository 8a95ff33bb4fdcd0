# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems that strangers made to lead out of the guest, or to keep the host busy."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from maglica.guest.appliance.appliance import Drive
from maglica.model.errors import GuestUnsupported
from support import guest
from support.guest import Disk
from support.offline_base import prepare_offline

pytestmark = pytest.mark.timeout(300)


def make_base(folder: Path, tree: Path) -> Path:
    raw, base = folder / "base.raw", folder / "base.qcow2"
    guest.make_disk(raw, tree)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(base)]
    subprocess.run(command, check=True)
    return base


def replaced(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path


def test_links_and_devices_lead_nowhere(tmp_path: Path) -> None:
    """Everything that is written or removed is in the guest, also where links point out of it."""
    tree = guest.make_tree(tmp_path / "tree")
    outside = tmp_path / "outside"
    outside.write_text("the host's\n")
    above = "../" * 20
    replaced(tree / "etc/hostname").symlink_to(f"{above}{outside}")
    replaced(tree / "etc/machine-id").symlink_to("/dev/sda")
    replaced(tree / "etc/hosts").symlink_to("/proc/self/mem")
    os.link(tree / "etc/passwd", replaced(tree / "etc/ssh/ssh_host_ecdsa_key"))
    disk = tree / "var/lib/dhcp/disk.leases"
    os.mknod(disk, stat.S_IFBLK | 0o600, os.makedev(8, 0))
    os.mkfifo(tree / "var/lib/dhcp/pipe.leases")
    for number in range(300):
        (tree / f"var/lib/dhcp/{number}.leases").touch()
    (tree / "etc/network/interfaces.d/more").write_bytes(
        b"# caf\xe9 \x1b[2J\niface eth1 inet dhcp\n"
    )
    base = make_base(tmp_path, tree)
    facts = prepare_offline([Drive(str(base), "qcow2")])
    assert (facts.hostname, facts.hosts) == ("", "127.0.0.1\tlocalhost\n")
    looked = Disk(str(base), tmp_path / "look")
    assert looked.text("/etc/passwd") == guest.FILES["etc/passwd"]
    # What debugfs lists of removed entries has no name.
    assert not any(looked.names("/var/lib/dhcp"))
    for path in ("/etc/hostname", "/etc/machine-id", "/etc/hosts"):
        assert looked.mode(path).split()[1:] == ["0", "0"]
    assert outside.read_text() == "the host's\n"
    assert looked.problems() == ""


def test_a_name_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    tree = guest.make_tree(tmp_path / "tree")
    (tree / "etc/network/interfaces.d/caf\udce9").touch()
    base = make_base(tmp_path, tree)
    with pytest.raises(GuestUnsupported, match=r"interfaces.d/\* in the guest: .* not UTF-8"):
        prepare_offline([Drive(str(base), "qcow2")])
