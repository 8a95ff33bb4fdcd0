# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of each type that docs/protocol.md names a value that is one, and some that are none."""

from __future__ import annotations

from typing import Any

TIME = "2026-11-24T06:00:00.000000Z"
UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
SAMPLES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "boot device": ("disk", ("hd",)),
    "`virtio`, `e1000`, `e1000e`, `rtl8139` or `vmxnet3`,": ("e1000", ("ne2k",)),
    "`up` or `down`,": ("down", ("off",)),
    "name, or empty,": ("clean-traffic", ("a/b",)),
    "`openvswitch`": ("openvswitch", ("802.1Qbg",)),
    "bool": (True, (0, "true")),
    "disk name": ("data_1-a", ("a.b", "-a", "", "a" * 21)),
    "`virtio`, `scsi` or `sata`": ("scsi", ("ide",)),
    "`unmap` or `ignore`,": ("unmap", ("on",)),
    "`none`, `writeback`, `writethrough`, `directsync` or `unsafe`,": ("none", ("default",)),
    "uuid": (UUID, (UUID.upper(), UUID[1:], UUID + "\n")),
    "name": ("a.b:c", ("a/b", "-a", "", "a" * 201)),
    "vm name": ("My VM_1 (ü)", ("a/b", " a", "a ", "", "a\n", "a" * 201)),
    "host name": ("a.b", ("A", "a_b", "a.1", "a" * 65, "localhost")),
    "address": ("192.0.2.7", ("192.0.2.7/24", "fe80::1%eth0")),
    "address/prefix": ("192.0.2.7/24", ("192.0.2.7", "fe80::1%eth0/64")),
    "host key": (f"ssh-ed25519 {'A' * 68}", ("ssh-ed25519", f"ssh-ed25519 {'A' * 68} me")),
    "ssh key": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", ("ssh-ed25519",)),
    "tag": ("role:web", ("-a", "a b", "", "a" * 64)),
    "mac": ("52:54:00:AB:cd:56", ("53:54:00:12:34:56", "52:54:00:AB:CD:EG")),
    "user name": ("www-data", ("Root", "a b", "1a", "", "a" * 33, "a:b")),
    "sudo rule": ("ALL=(ALL) NOPASSWD:ALL", ("ALL\n#include x", "ALL \\", "@include x", "")),
    "shell": ("/bin/bash", ("bash", "/bin/a b", "/a:b", "/a\n")),
    "user data": ("#cloud-config\n", ("packages: [vim]", "#!\x00", "#!" + "x" * 65536)),
    "`auto`, `cloud-init`, `offline` or `none`": ("auto", ("cloud_init",)),
    "hash": ("$6$salt$0123456789", ("secret",)),
    "code": ("a_b", ("A", "")),
    "feature": ("a_2", ("A", "", "2a")),
    "kind": ("clone", ("format",)),
    "state": ("done", ("open",)),
    "web address": (
        "https://example.com/a",
        ("a", "ftp://example.com/a", "https://example.com/#a"),
    ),
    "path": ("/a", ("a", "/", "/a/../b", "/\n")),
    "checksum": ("SHA256:" + "A" * 64, ("sha256:a", "md5:" + "a" * 32, "ftp://example.com/a")),
    "string 65536": ("x" * 65536, ("x" * 65537,)),
    "`linked` or `full`": ("full", ("copy",)),
    "`qcow2` or `raw`": ("raw", ("vmdk",)),
    "`bios` or `uefi`": ("uefi", ("efi",)),
    "time": (TIME, ("2026-11-24T06:00:00Z", "2026-13-24T06:00:00.000000Z", "now")),
    "number": (0.5, (-1, 1e11, True)),
}
