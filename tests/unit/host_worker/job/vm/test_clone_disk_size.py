# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones whose first disk is larger than the image's, on a host in memory."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from maglica.disk import mounts
from maglica.disk.partitions import HEAD
from maglica.disk.room import Room
from maglica.domain import definition
from maglica.guest.facts import Mount
from maglica.host_worker.job import undo
from maglica.model.errors import NoRoom, StorageFailed
from maglica.model.request import CloneMode, State
from support.fake_host import NAMES, FakeHost, Killed, assert_clean

MIB = 1 << 20
SIZE = 64 * MIB
VDA = "vm0.example.jp.vda."


def mbr(*kinds: int) -> bytes:
    """Return the begin of a disk with partitions of 4 MiB, of these types, one after the other."""
    head = bytearray(HEAD)
    for index, kind in enumerate(kinds):
        first = 2048 + index * 8192
        struct.pack_into("<B3sB3sII", head, 446 + 16 * index, 0, b"", kind, b"", first, 8192)
    head[510:512] = b"\x55\xaa"
    return bytes(head)


@pytest.fixture
def grown(host: FakeHost) -> FakeHost:
    """A host whose image has ext4 on the only partition of its first disk."""
    host.facts = replace(
        host.facts,
        mounts=(Mount("/", "/dev/sda1"),),
        root_kind="ext4",
        has_growfs=True,
        root_in_fstab=True,
    )
    host.head = mbr(0x83)
    host.add_image(["vda", "vdb"], size=SIZE)
    return host


@pytest.mark.parametrize("mode", list(CloneMode))
def test_the_first_disk_is_larger(grown: FakeHost, mode: CloneMode) -> None:
    (done,) = grown.run(grown.request(disk_size_mib=20480, clone_mode=mode))
    assert done.state is State.DONE, done.failure
    ((name, (disk_format, size, (patch,))),) = grown.grown.items()
    assert name.startswith(VDA)
    assert (disk_format, size, patch.offset) == ("qcow2", 20 << 30, 0)
    assert struct.unpack_from("<II", patch.content, 454) == (2048, (20 << 30) // 512 - 2048)
    assert [disk.capacity_bytes for disk in done.vm.disks] == [20 << 30, SIZE]
    (domain,) = [each for each in grown.connection.domains if each.name() == done.name]
    made = definition.describe(domain.xml).made
    assert made.sizes == {"vda": 20 << 30, "vdb": SIZE}


@pytest.mark.parametrize("disk_size_mib", [None, SIZE // MIB])
def test_a_disk_as_large_as_the_image_s_needs_nothing_of_it(
    host: FakeHost, disk_size_mib: int | None
) -> None:
    host.facts = replace(host.facts, mounts=(Mount("/", "/dev/vg0/root"),))
    host.add_image(size=SIZE)
    (done,) = host.run(host.request(disk_size_mib=disk_size_mib))
    assert done.state is State.DONE, done.failure
    assert (host.grown, host.heads_read) == ({}, 0)
    assert [disk.capacity_bytes for disk in done.vm.disks] == [SIZE]


def test_a_file_system_straight_on_the_disk_needs_no_table(grown: FakeHost) -> None:
    grown.facts = replace(grown.facts, mounts=(Mount("/", "/dev/sda"),))
    grown.head = b""
    (done,) = grown.run(grown.request(disk_size_mib=128))
    assert done.state is State.DONE, done.failure
    assert [(size, patches) for _kind, size, patches in grown.grown.values()] == [(128 * MIB, ())]
    assert grown.heads_read == 0


def test_a_batch_reads_the_table_once_and_each_has_its_size(grown: FakeHost) -> None:
    sizes = (128, None, 256)
    requests = [grown.request(name, disk_size_mib=size) for name, size in zip(NAMES, sizes)]
    assert [done.state for done in grown.run(*requests)] == [State.DONE] * 3
    assert grown.heads_read == 1
    assert sorted(size for _kind, size, _patches in grown.grown.values()) == [128 * MIB, 256 * MIB]


def test_a_full_disk_fails_that_one_and_leaves_nothing(grown: FakeHost) -> None:
    grown.broken["grow"] = StorageFailed("disk x can't be made larger: Input/output error")
    bad, good = grown.request(disk_size_mib=128), grown.request(NAMES[1])
    failed, done = grown.run(bad, good)
    assert (failed.failure.code, done.state) == ("storage_failed", State.DONE)
    assert [name for name in grown.volumes() if name.startswith("vm0.")] == []
    grown.broken["grow"] = NoRoom("disk x can't be made larger: No space left on device")
    assert grown.run(grown.request(disk_size_mib=128))[0].failure.code == "no_room"


def test_what_was_killed_while_it_grew_is_undone(
    grown: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown.run(grown.request(NAMES[1]))
    request = grown.request(disk_size_mib=128)
    real = grown.step

    def killed(name: str) -> None:
        if name == "grow":
            raise Killed
        real(name)

    monkeypatch.setattr(grown, "step", killed)
    with pytest.raises(Killed):
        grown.run(request)
    assert [name for name in grown.volumes() if name.startswith(VDA)] != []
    undo.undo(request.id, grown.context)
    assert [name for name in grown.volumes() if name.startswith("vm0.")] == []
    monkeypatch.undo()


def refused(host: FakeHost, text: str, code: str = "disk_size_unsupported", size: int = 128) -> str:
    request = host.request(disk_size_mib=size)
    (failed,) = host.run(request)
    assert failed.state is State.FAILED
    assert (failed.failure.code, text in failed.failure.text) == (code, True), failed.failure
    about = "cannot clone debian.original as vm0.example.jp on host kvm0.example.jp: "
    assert failed.failure.text.startswith(about)
    assert_clean(host, request)
    assert (host.grown, host.batches) == ({}, [])
    return failed.failure.text


def test_smaller_than_the_image_is_refused_before_a_base_is_made(grown: FakeHost) -> None:
    text = refused(grown, "image has 64 MiB, and can't be made smaller, to 63 MiB:", size=63)
    assert text.endswith("disk_size must be at least 64 MiB")
    assert (grown.prepared, grown.copied) == ([], [])


def test_an_image_with_an_odd_size_names_the_next_whole_mib(host: FakeHost) -> None:
    host.add_image(size=SIZE + 512)
    assert "at least 65 MiB" in refused(host, "image has 67109376 bytes", size=64)


def test_a_partition_that_is_not_the_last(grown: FakeHost) -> None:
    grown.head = mbr(0x83, 0x82)
    text = refused(
        grown,
        "its disk vda of 64 MiB can't be made 128 MiB large: partition 2 (swap) lies behind its"
        " root file system on partition 1 (Linux); leave disk_size out, or make the disk of the",
    )
    assert len(text) < 400


def test_a_table_that_is_damaged(grown: FakeHost) -> None:
    grown.head = mbr(0xEE)
    refused(grown, "can't be made 128 MiB large: its partition table is GPT and MBR in one")
    grown.head = bytes(HEAD)
    refused(grown, "it has no partition table; leave disk_size out")


def test_a_guest_that_would_not_fill_it(grown: FakeHost) -> None:
    grown.facts = replace(grown.facts, mounts=(Mount("/", "/dev/vg0/root"),))
    refused(grown, "its root file system is on /dev/vg0/root, a volume of LVM")
    assert grown.heads_read == 0


def test_a_disk_larger_than_the_pool(grown: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "room", lambda path: Room(40 << 30, 30 << 30))
    text = "pool default has 40.0 GiB in all, less than a disk of 50.0 GiB"
    refused(grown, text, "no_room", size=50 << 10)
    # Nothing is taken of it yet: it may well be larger than what is free now.
    (done,) = grown.run(grown.request(disk_size_mib=40 << 10))
    assert done.state is State.DONE, done.failure
