# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests fill a larger disk, and what their fstab says then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.guest.base_plan import clean
from maglica.guest.edits import apply
from maglica.guest.facts import GuestFacts, Mount
from maglica.guest.growth import FSTAB, grows, partition, with_growfs
from maglica.guest.inspect import OperatingSystem, examine
from maglica.model.errors import DiskSizeUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

SYSTEM = OperatingSystem((Mount("/", "/dev/sda1"),), "debian", "12", shared=True, root_kind="ext4")
FACTS = GuestFacts(
    (Mount("/", "/dev/sda1"), Mount("/boot", "/dev/sda16")),
    *("debian", "12", "ifupdown", "i", "", True),
    root_kind="ext4",
    has_growfs=True,
    root_in_fstab=True,
)
GROWFS = "/usr/lib/systemd/systemd-growfs"


def on(device: str) -> GuestFacts:
    return replace(FACTS, mounts=(Mount("/", device),))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/dev/vda / ext4 defaults 0 1\n", "/dev/vda / ext4 defaults,x-systemd.growfs 0 1\n"),
        (
            "# /dev/sda / ext4 ro\n\nUUID=1 /boot ext4 ro 0 2\nUUID=2\t/ \t xfs\trw,noatime\t0 1",
            "# /dev/sda / ext4 ro\n\nUUID=1 /boot ext4 ro 0 2\n"
            "UUID=2\t/ \t xfs rw,noatime,x-systemd.growfs\t0 1",
        ),
        ("LABEL=a / btrfs", "LABEL=a / btrfs defaults,x-systemd.growfs"),
        ("LABEL=a / btrfs  \n", "LABEL=a / btrfs defaults,x-systemd.growfs  \n"),
        ("a / ext4 x-systemd.growfs,errors=remount-ro", None),
        # systemd takes the first one.
        ("a / ext4 a\nb / ext4 b\n", "a / ext4 a,x-systemd.growfs\nb / ext4 b\n"),
    ],
)
def test_fstab(old: str, new: str | None) -> None:
    assert with_growfs(old) == (old if new is None else new)


@pytest.mark.parametrize(
    "fstab",
    [
        *("", "#/dev/vda / ext4 defaults", "/dev/vda /", "/ /\n/boot ext4", "a /x ext4 d"),
        *("a / ext4 ro 0 1\n", "a / ext4 noatime,ro", "a //  ext4 rw", "/", "a\n/\next4\n"),
    ],
)
def test_an_fstab_that_mounts_no_root_for_writing(fstab: str) -> None:
    assert with_growfs(fstab) is None


@pytest.mark.parametrize(
    ("device", "number"),
    [
        ("/dev/sda1", 1),
        ("/dev/sda128", 128),
        ("/dev/sda", 0),
        ("btrfsvol:/dev/sda2/@rootfs", 2),
        ("btrfsvol:/dev/sda3/a/b", 3),
    ],
)
def test_which_partition_grows(device: str, number: int) -> None:
    assert partition(on(device)) == number
    assert grows(on(device))


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (on("/dev/vg0/root"), "^its root file system is on /dev/vg0/root, a volume of LVM, RAID"),
        (on("/dev/mapper/luks-1"), "on /dev/mapper/luks-1, a volume"),
        (on("/dev/md0"), "on /dev/md0, a volume"),
        (on("btrfsvol:/dev/vg0/root/@"), "a volume of LVM"),
        (on("/dev/sdb1"), "^its root file system is not on its first disk$"),
        (on("/dev/sdaa1"), "not on its first disk"),
        (on("/dev/" + "x" * 5000), "a volume of LVM"),
        (replace(FACTS, root_kind="ext3"), "^its root file system is 'ext3'; these grow: ext4, "),
        (replace(FACTS, root_kind=""), "is 'unknown'"),
        (replace(FACTS, root_kind="z" * 5000), "is 'zzz"),
        (replace(FACTS, has_growfs=False), "^there is no systemd-growfs in the guest"),
        (replace(FACTS, root_in_fstab=False), "^its /etc/fstab has no line that mounts / for wri"),
    ],
)
def test_guests_that_would_not_fill_it(facts: GuestFacts, problem: str) -> None:
    with pytest.raises(DiskSizeUnsupported, match=problem) as raised:
        partition(facts)
    assert len(str(raised.value)) < 250
    assert not grows(facts)


def test_the_base_of_a_guest_that_can_grow_has_the_word_in_its_fstab() -> None:
    guest = FakeFilesystem({**debian.FILES, GROWFS: "ELF"})
    guest.nodes[FSTAB].mode = 0o640
    findings = examine(guest, SYSTEM)
    facts = findings.facts
    assert (facts.root_kind, facts.has_growfs, facts.root_in_fstab) == ("ext4", True, True)
    assert GuestFacts.from_json(facts.to_json()) == facts
    # Filled, a file keeps all that else there is of it.
    apply(clean(findings), guest, (FSTAB,))
    assert guest.text(FSTAB) == "/dev/vda / ext4 defaults,x-systemd.growfs 0 1\n"
    assert guest.mode(FSTAB) == 0o640


@pytest.mark.parametrize("lacking", [GROWFS, FSTAB, "partition", "kind", "plain"])
def test_the_base_of_any_other_guest_keeps_its_fstab(lacking: str) -> None:
    files = {**debian.FILES, GROWFS: "ELF"}
    system = {
        "partition": replace(SYSTEM, mounts=(Mount("/", "/dev/vg0/root"),)),
        "kind": replace(SYSTEM, root_kind="ext2"),
    }.get(lacking, SYSTEM)
    guest = FakeFilesystem(
        {path: text for path, text in files.items() if lacking.lstrip("/") != path.lstrip("/")}
    )
    if lacking == "plain":
        guest.add_link(FSTAB, "fstab.real")
        guest.add_file("/etc/fstab.real", debian.FILES["etc/fstab"])
    before = dict(guest.nodes)
    findings = examine(guest, system)
    assert not grows(findings.facts)
    apply(clean(findings), guest, (FSTAB,))
    for path in (FSTAB, "/etc/fstab.real"):
        assert guest.nodes.get(path) == before.get(path)
