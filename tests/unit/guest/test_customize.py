# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch of guests in appliances made of nothing: who shares, who fails, who is done again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from maglica.guest import customize as module
from maglica.guest.appliance.appliance import Drive, moved
from maglica.guest.customize import Guest, customize
from maglica.guest.edits import SetUser, Write
from maglica.guest.facts import GuestFacts, Mount
from maglica.guest.filesystem import ApplianceDied
from maglica.guest.system import _is_independent, holding
from maglica.model.errors import GuestUnreadable, MaglicaError, NoRoom
from maglica.model.request import User
from support.fake_filesystem import FakeFilesystem

FACTS = GuestFacts((Mount("/", "/dev/sda1"),), "debian", "12", "ifupdown", "i", "", shared=True)
EDITS = (Write("/etc/hostname", b"new\n"),)


@dataclass
class World:
    """The disks by device while an appliance runs, and what is to go wrong."""

    disks: dict[str, FakeFilesystem] = field(default_factory=dict)
    launches: list[list[str]] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    mountpoints: list[list[str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    deadly: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    refuses_to_start: bool = False
    fails_to_stop: bool = False


class FakeAppliance:
    def __init__(self, world: World, drives: Sequence[Drive]) -> None:
        self._world = world
        self._drives = drives
        self.failure: MaglicaError | None = None

    @contextmanager
    def mounted(self, mounts: Sequence[Mount], seconds: float) -> Iterator[FakeFilesystem]:
        assert seconds > 0
        paths = [f"/dev/sd{chr(ord('a') + number)}1" for number in range(len(self._drives))]
        path = self._drives[paths.index(mounts[0].device)].path
        self._world.mounts.append(path)
        self._world.mountpoints.append([mount.mountpoint for mount in mounts])
        if path in self._world.full:
            self.failure = NoRoom(f"{path} can't be written")
            raise ApplianceDied("the appliance ended")
        if path in self._world.deadly:
            raise ApplianceDied("the appliance ended")
        if path in self._world.broken:
            raise GuestUnreadable("cannot mount its file systems: bad superblock")
        yield self._world.disks.setdefault(path, FakeFilesystem({"/etc/hostname": "old"}))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    @contextmanager
    def launched(drives: Sequence[Drive], use_kvm: bool) -> Iterator[FakeAppliance]:
        assert use_kvm is False
        made.launches.append([drive.path for drive in drives])
        if made.refuses_to_start:
            raise GuestUnreadable("libguestfs can't start its appliance: no kernel")
        yield FakeAppliance(made, drives)
        if made.fails_to_stop:
            raise GuestUnreadable("cannot write back: no space")

    monkeypatch.setattr(module, "launched", launched)
    return made


def guests(*names: str) -> list[Guest]:
    return [Guest(name, (Drive(name, "qcow2"),), EDITS) for name in names]


def outcome(
    world: World, names: str, facts: GuestFacts = FACTS
) -> dict[str, type[MaglicaError] | None]:
    results = customize(guests(*names), facts, use_kvm=False)
    return {key: None if error is None else type(error) for key, error in results.items()}


def test_one_appliance_for_all(world: World) -> None:
    assert outcome(world, "abc") == {"a": None, "b": None, "c": None}
    assert world.launches == [["a", "b", "c"]]
    assert [disk.text("/etc/hostname") for disk in world.disks.values()] == ["new\n"] * 3


def test_only_who_gets_a_user_has_the_homes_mounted(world: World) -> None:
    root, home, boot = (Mount(path, "/dev/sda1") for path in ("/", "/home", "/boot"))
    facts = replace(FACTS, mounts=(root, boot), user_mounts=(root, home))
    plain, other = guests("a", "b")
    world.disks["b"] = FakeFilesystem(
        {"etc/passwd": "", "etc/group": "", "etc/shadow": "", "etc/hostname": "old"}
    )
    other = replace(other, edits=(*EDITS, SetUser(User("alice"), 1)))
    assert customize([plain, other], facts, use_kvm=False) == {"a": None, "b": None}
    assert world.mountpoints == [["/", "/boot"], ["/", "/boot", "/home"]]
    assert "alice" in world.disks["b"].text("/etc/passwd")


def test_guests_that_can_not_share_have_their_own(world: World) -> None:
    outcome(world, "ab", replace(FACTS, shared=False))
    assert world.launches == [["a"], ["b"]]


def test_as_many_as_fit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DRIVES", 2)
    outcome(world, "abc")
    assert world.launches == [["a", "b"], ["c"]]


def test_all_disks_of_a_guest_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DRIVES", 5)
    members = [
        Guest(name, (Drive(f"{name}1", "qcow2"), Drive(f"{name}2", "qcow2")), EDITS)
        for name in "abc"
    ]
    assert customize(members, FACTS, use_kvm=False) == {"a": None, "b": None, "c": None}
    assert world.launches == [["a1", "a2", "b1", "b2"], ["c1", "c2"]]
    assert world.mounts == ["a1", "b1", "c1"]


def test_a_broken_guest_fails_alone(world: World) -> None:
    world.broken = {"b"}
    assert outcome(world, "abc") == {"a": None, "b": GuestUnreadable, "c": None}
    assert len(world.launches) == 1


def test_a_fresh_appliance_does_all_but_the_deadly_guest(world: World) -> None:
    world.deadly = {"b", "d"}
    results = outcome(world, "abcd")
    assert results == {"a": None, "b": ApplianceDied, "c": None, "d": ApplianceDied}
    assert world.launches == [["a", "b", "c", "d"], ["a", "c", "d"], ["a", "c"]]
    assert world.mounts == ["a", "b", "a", "c", "d", "a", "c"]


def test_a_full_disk_fails_all_that_lie_on_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = {"a": 1, "b": 2, "c": 1, "d": 2}
    monkeypatch.setattr(module, "_devices", lambda guest: {devices[guest.key]})
    world.full = {"b"}
    assert outcome(world, "abcd") == {"a": None, "b": NoRoom, "c": None, "d": NoRoom}
    assert world.launches == [["a", "b", "c", "d"], ["a", "c"]]


def test_an_appliance_that_does_not_start_fails_all(world: World) -> None:
    world.refuses_to_start = True
    assert outcome(world, "ab") == {"a": GuestUnreadable, "b": GuestUnreadable}
    assert len(world.launches) == 1


def test_what_was_not_written_back_has_failed(world: World) -> None:
    world.broken = {"a"}
    world.fails_to_stop = True
    results = customize(guests("a", "b"), FACTS, use_kvm=False)
    assert "bad superblock" in str(results["a"])
    assert "no space" in str(results["b"])


def test_each_step_is_a_sign_of_life(world: World) -> None:
    signs: list[bool] = []
    customize(guests("a", "b"), FACTS, False, lambda: signs.append(True))
    assert len(signs) == 3


@pytest.mark.parametrize(
    ("device", "first", "expected"),
    [
        ("/dev/sda1", 0, "/dev/sda1"),
        ("/dev/sda1", 1, "/dev/sdb1"),
        ("/dev/sdb", 4, "/dev/sdf"),
        ("/dev/sda12", 25, "/dev/sdz12"),
        ("/dev/sda", 26, "/dev/sdaa"),
        ("/dev/sdb3", 26, "/dev/sdab3"),
        ("/dev/sda", 249, "/dev/sdip"),
        ("/dev/vg/root", 3, "/dev/vg/root"),
    ],
)
def test_moved(device: str, first: int, expected: str) -> None:
    assert moved([Mount("/", device)], first) == (Mount("/", expected),)


@pytest.mark.parametrize(
    ("filesystems", "md_devices", "expected"),
    [
        ({"/dev/sda1": "ext4", "/dev/sda15": "vfat", "/dev/sda14": "unknown"}, [], True),
        ({"/dev/sda": "ext2"}, [], True),
        ({"/dev/sda1": "xfs"}, [], False),
        ({"/dev/sda1": "ext4", "/dev/sdb1": "btrfs"}, [], False),
        ({"/dev/sda1": "ext4", "/dev/vg/root": "ext4"}, [], False),
        ({"/dev/sda1": "ext4"}, ["/dev/md0"], False),
        ({"/dev/sda1": "crypto_LUKS"}, [], False),
    ],
)
def test_which_disks_can_share(
    filesystems: dict[str, str], md_devices: list[str], expected: bool
) -> None:
    assert _is_independent(filesystems, md_devices) is expected


def test_only_what_holds_the_files_is_mounted() -> None:
    mounts = [Mount(path, "/dev/sda") for path in ("/", "/boot", "/root", "/usr", "/var/lib")]
    kept = holding(mounts, ["/etc/hostname", "/root/.ssh/authorized_keys", "/var/lib/x"])
    assert [mount.mountpoint for mount in kept] == ["/", "/root", "/var/lib"]
