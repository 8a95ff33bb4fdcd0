# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that distributions offer for clouds, by name; x86_64.

A name is the ID and VERSION_ID of the guest's os-release(5). Addresses and names of files were
looked up on 2026-11-29 in stored copies of what each entry names under ``seen``, the users in
cloud-init's config/cloud.cfg.tmpl; nothing was fetched from any of them. ``maglica.conf`` has a
user's own entries, in sections ``[image NAME]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import ImageUnknown
from ..model.image import Firmware
from ..model.text import some
from .checksum import Expected, SumsFile
from .origin import Origin


@dataclass(frozen=True)
class Entry:
    """An image that can be had by its name; ``firmware`` None is as its disk says.

    ``user`` is the one that cloud-init makes there if nothing else is said. ``seen`` says where the
    addresses are from.
    """

    name: str
    url: str
    checksum: Expected
    firmware: Firmware | None = None
    user: str | None = None
    format: str | None = None
    notes: str = ""
    seen: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        self.origin()

    def origin(self) -> Origin:
        return Origin(url=self.url, checksum=self.checksum, format=self.format)


def find(name: str, own: Iterable[Entry] = ()) -> Entry:
    """Return the entry of that name; a user's own comes first. Raises ImageUnknown."""
    known = {entry.name: entry for entry in entries(own)}
    if name not in known:
        raise ImageUnknown(f"the catalog has no image {name}: it has {some(sorted(known))}")
    return known[name]


def entries(own: Iterable[Entry] = ()) -> tuple[Entry, ...]:
    """Return all entries by name; a user's own stands for the one of that name here."""
    return tuple(
        entry for _name, entry in sorted({entry.name: entry for entry in (*CATALOG, *own)}.items())
    )


def _in_folder(name: str, folder: str, file: str, sums: str, **more: Any) -> Entry:
    """Return the entry of a file in a folder, with its sums there, too: ``sums`` is their file."""
    return Entry(name, f"{folder}/{file}", SumsFile(f"{folder}/{sums}"), **more)


_DEBIAN = "https://cloud.debian.org/images/cloud"
_DEBIAN_SEEN = "links of libosinfo's osinfo-db (merge request 713; 12); users' scripts (13, sums)"
_UBUNTU = "https://cloud-images.ubuntu.com/releases"
_UBUNTU_SEEN = "documentation.ubuntu.com/public-images (names); users' scripts for the folders"
_ROCKY = "https://dl.rockylinux.org/pub/rocky"
_ROCKY_SEEN = "docs.rockylinux.org, cloud-init, 2 (10); quotes of the CHECKSUM file (9 and 10)"
_ALMA = "https://repo.almalinux.org/almalinux"
_ALMA_SEEN = "wiki.almalinux.org/cloud/Generic-cloud.html (of 8); a copy of CHECKSUM (10)"
_FEDORA = "https://download.fedoraproject.org/pub/fedora/linux/releases"
_SUSE = "https://download.opensuse.org/distribution/leap"
_ALPINE = "https://dl-cdn.alpinelinux.org/alpine"
_ARCH = "https://geo.mirror.pkgbuild.com/images/latest"
_ARCH_FILE = "Arch-Linux-x86_64-cloudimg.qcow2"
_LEAP_FILE = "Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2"
_ALPINE_FILE = "generic_alpine-3.24.1-x86_64-bios-cloudinit-r0.qcow2"

CATALOG = (
    _in_folder(
        "debian-12",
        f"{_DEBIAN}/bookworm/latest",
        "debian-12-genericcloud-amd64.qcow2",
        "SHA512SUMS",
        user="debian",
        notes="its kernel has no drivers for SATA and other real hardware",
        seen=_DEBIAN_SEEN,
    ),
    _in_folder(
        "debian-13",
        f"{_DEBIAN}/trixie/latest",
        "debian-13-genericcloud-amd64.qcow2",
        "SHA512SUMS",
        user="debian",
        notes="its kernel has no drivers for SATA and other real hardware",
        seen=_DEBIAN_SEEN,
    ),
    _in_folder(
        "ubuntu-22.04",
        f"{_UBUNTU}/22.04/release",
        "ubuntu-22.04-server-cloudimg-amd64.img",
        "SHA256SUMS",
        user="ubuntu",
        seen=_UBUNTU_SEEN,
    ),
    _in_folder(
        "ubuntu-24.04",
        f"{_UBUNTU}/24.04/release",
        "ubuntu-24.04-server-cloudimg-amd64.img",
        "SHA256SUMS",
        user="ubuntu",
        seen=_UBUNTU_SEEN,
    ),
    _in_folder(
        "rocky-9",
        f"{_ROCKY}/9/images/x86_64",
        "Rocky-9-GenericCloud-Base.latest.x86_64.qcow2",
        "CHECKSUM",
        user="rocky",
        seen=_ROCKY_SEEN,
    ),
    _in_folder(
        "rocky-10",
        f"{_ROCKY}/10/images/x86_64",
        "Rocky-10-GenericCloud-Base.latest.x86_64.qcow2",
        "CHECKSUM",
        user="rocky",
        notes="needs a processor of x86-64-v3",
        seen=_ROCKY_SEEN,
    ),
    _in_folder(
        "almalinux-9",
        f"{_ALMA}/9/cloud/x86_64/images",
        "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2",
        "CHECKSUM",
        user="almalinux",
        seen=_ALMA_SEEN,
    ),
    _in_folder(
        "almalinux-10",
        f"{_ALMA}/10/cloud/x86_64/images",
        "AlmaLinux-10-GenericCloud-latest.x86_64.qcow2",
        "CHECKSUM",
        user="almalinux",
        notes="needs a processor of x86-64-v3",
        seen=_ALMA_SEEN,
    ),
    _in_folder(
        "fedora-44",
        f"{_FEDORA}/44/Cloud/x86_64/images",
        "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2",
        "Fedora-Cloud-44-1.7-x86_64-CHECKSUM",
        user="fedora",
        notes="of April 2026; an old release moves to archives.fedoraproject.org",
        seen="users' scripts and tests, among them quotes of the signed CHECKSUM file",
    ),
    _in_folder(
        "opensuse-leap-16.0",
        f"{_SUSE}/16.0/appliances",
        _LEAP_FILE,
        f"{_LEAP_FILE}.sha256",
        notes="which user it makes is not known",
        seen="kubevirt/containerdisks (pull request 417, by SUSE), with a copy of the file of sums",
    ),
    _in_folder(
        "alpine-3.24",
        f"{_ALPINE}/v3.24/releases/cloud",
        _ALPINE_FILE,
        f"{_ALPINE_FILE}.sha512",
        user="alpine",
        firmware=Firmware.BIOS,
        notes="3.24.1; the file of each point release has its own name",
        seen="users' documentation of alpinelinux.org/cloud, and their scripts",
    ),
    _in_folder(
        "arch",
        _ARCH,
        _ARCH_FILE,
        f"{_ARCH_FILE}.SHA256",
        user="arch",
        notes="built every two weeks",
        seen="README of arch-boxes, links of libosinfo's osinfo-db (issue 122); users' scripts",
    ),
)
