# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one look at a guest, in an appliance made of nothing, and what it does for a base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from maglica.guest import prepare as module
from maglica.guest.appliance import appliance
from maglica.guest.appliance.appliance import Drive
from maglica.guest.appliance.watch import Watch
from maglica.guest.cloud_init.facts import SeedFacts
from maglica.guest.facts import Mount, Seen
from maglica.guest.filesystem import Kind, NoVerdict
from maglica.guest.inspect import OperatingSystem
from maglica.guest.prepare import Prepared, prepare_base
from maglica.model.errors import GuestUnreadable, GuestUnsupported, MaglicaError, StorageFailed
from maglica.model.request import Customize
from support.fake_filesystem import FakeFilesystem

SYSTEM = OperatingSystem((Mount("/", "/dev/sda1"),), "debian", "13", True, root_kind="ext4")
CONFIG = """\
cloud_init_modules: [growpart, resizefs, set_hostname, users-groups, ssh]
system_info: {default_user: {name: debian}}
"""
# As the packages of Debian 13 leave a guest whose network netplan configures.
FOR_CLOUDS = {
    "etc/os-release": "ID=debian\nVERSION_ID=13.1\n",
    "etc/machine-id": "",
    "usr/bin/cloud-init": "",
    "usr/lib/systemd/systemd": "",
    "usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "25.1"\n',
    "usr/sbin/netplan": "",
    "usr/sbin/sshd": "",
    "etc/netplan/90-default.yaml": "network: {version: 2}\n",
    "etc/cloud/cloud.cfg": CONFIG,
}
WANTS = "/etc/systemd/system/cloud-init.target.wants/cloud-init-local.service"
BY_HAND = {
    "etc/hostname": "template\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "sbin/ifup": "",
    "etc/network/interfaces": "auto eth0\niface eth0 inet dhcp\n",
    "etc/ssh/ssh_host_ed25519_key": "key",
}


@dataclass
class World:
    """The disk that an appliance has, and the system on it."""

    disk: FakeFilesystem
    system: OperatingSystem = SYSTEM
    launches: int = 0
    unread: StorageFailed | None = None

    def look(self, asked: Customize | None) -> Prepared:
        return prepare_base([Drive("a", "qcow2")], asked, use_kvm=False)


class FakeAppliance:
    def __init__(self, world: World) -> None:
        self._world = world
        self.unread = world.unread

    def within(self, _seconds: float) -> nullcontext[None]:
        return nullcontext()

    @contextmanager
    def mounted(self, _mounts: Sequence[Mount], _seconds: float) -> Iterator[FakeFilesystem]:
        yield self._world.disk


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(FakeFilesystem(FOR_CLOUDS))
    made.disk.add_link(WANTS, "/lib/systemd/system/cloud-init-local.service")

    @contextmanager
    def launched(_drives: Sequence[Drive], _use_kvm: bool) -> Iterator[FakeAppliance]:
        made.launches += 1
        yield FakeAppliance(made)

    monkeypatch.setattr(appliance, "launched", launched)
    monkeypatch.setattr(module, "find_system", lambda _appliance: made.system)
    return made


def by_hand(world: World) -> None:
    world.disk = FakeFilesystem(BY_HAND)


def test_an_image_for_clouds(world: World) -> None:
    before = dict(world.disk.nodes)
    made = world.look(Customize.AUTO)
    assert (made.way, made.facts) == (Customize.CLOUD_INIT, None)
    seed = SeedFacts(("ecdsa", "ed25519"), "debian", False, "/dev/sda1", "ext4", True)
    assert replace(made.seen, offline="") == Seen(
        "debian", "13.1", "netplan", "ext4", None, "", seed, is_clean=True
    )
    assert "netplan" in (made.seen.offline or "")
    assert (world.disk.nodes, world.launches) == (before, 1)


def test_what_a_boot_left_is_taken_off_a_base_for_cloud_init(world: World) -> None:
    world.disk.add_file("/etc/ssh/ssh_host_rsa_key", "key")
    made = world.look(Customize.CLOUD_INIT)
    assert made.way is Customize.CLOUD_INIT
    assert not made.seen.is_clean
    assert world.disk.kind("/etc/ssh/ssh_host_rsa_key") is Kind.ABSENT


@pytest.mark.parametrize("asked", [None, Customize.NONE])
def test_a_look_alone_changes_nothing(world: World, asked: Customize | None) -> None:
    world.disk.add_file("/etc/ssh/ssh_host_rsa_key", "key")
    made = world.look(asked)
    assert (made.way, made.facts) == (asked, None)
    assert world.disk.kind("/etc/ssh/ssh_host_rsa_key") is Kind.FILE
    assert made.seen.cloud_init is None


def test_what_cloud_init_would_not_undo(world: World) -> None:
    world.disk.add_file("/etc/netplan/01.yaml", "addresses: [192.0.2.9/24]\n")
    made = world.look(Customize.AUTO)
    assert made.way is None
    assert made.seen.seed is None
    assert "would not undo what its clones would share: /etc/netplan/01.yaml" in str(
        made.seen.cloud_init
    )


def test_a_template_by_hand(world: World) -> None:
    by_hand(world)
    made = world.look(Customize.AUTO)
    assert made.way is Customize.OFFLINE
    assert (made.seen.stack, made.seen.release) == ("ifupdown", "13")
    assert (made.seen.cloud_init, made.seen.offline) == ("is not there", None)
    assert made.facts is not None
    assert made.facts.ssh_host_keys == ("ed25519",)
    assert world.disk.text("/etc/ssh/ssh_host_ed25519_key") == ""


def test_a_way_that_comes_to_nothing_is_known_then(world: World) -> None:
    by_hand(world)
    # A folder can't be replaced by a file.
    world.disk.add_directory("/etc/cloud/cloud.cfg.d/zz-maglica.cfg")
    made = world.look(Customize.AUTO)
    assert (made.way, made.facts) == (None, None)
    assert "zz-maglica.cfg in the guest is not a plain file" in str(made.seen.offline)


@pytest.mark.parametrize(
    ("device", "kind", "expected"),
    [
        ("/dev/sda1", "xfs", "xfs"),
        ("/dev/sda", "ext4", "ext4 without partitions"),
        ("btrfsvol:/dev/sda2/@", "btrfs", "btrfs"),
        ("/dev/vg0/root", "ext4", "ext4 on LVM"),
        ("/dev/md127", "ext4", "ext4 on RAID"),
    ],
)
def test_what_the_layout_is_called(world: World, device: str, kind: str, expected: str) -> None:
    world.system = replace(SYSTEM, mounts=(Mount("/", device),), root_kind=kind)
    assert world.look(None).seen.layout == expected


def test_what_is_known_survives_json(world: World) -> None:
    for seen in (world.look(None).seen, Seen(offline="x")):
        assert Seen.from_json(seen.to_json()) == seen


@pytest.mark.parametrize("found", ["something", "nothing"])
def test_what_was_found_where_a_disk_could_not_be_read_is_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    """libguestfs takes a file that it can't read for one that is not there, here and there."""
    world.unread = StorageFailed("a can't be read: Input/output error")

    def refused(_appliance: object) -> OperatingSystem:
        raise GuestUnsupported("it has 2 operating systems")

    if found == "nothing":
        monkeypatch.setattr(module, "find_system", refused)
    with pytest.raises(StorageFailed, match="a can't be read: Input/output error"):
        world.look(Customize.AUTO)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("read: Input/output error", NoVerdict),
        ("mount: special device /dev/sda1 does not exist.", NoVerdict),
        ("mount_options: /dev/sda1: No such file or directory", NoVerdict),
        ("mount: wrong fs type, bad option, bad superblock", GuestUnreadable),
    ],
)
def test_an_error_that_may_pass_is_no_verdict(said: str, kind: type[MaglicaError]) -> None:
    handle = SimpleNamespace(is_ready=lambda: 1)
    here = appliance.Appliance(handle, 0, Watch([], Path("/")))
    with pytest.raises(MaglicaError, match="cannot mount it: ") as raised, here.asking("mount it"):
        raise RuntimeError(said)
    assert raised.type is kind


def test_qemu_tells_of_reads_that_fail() -> None:
    watch = Watch(["/pool/a", "/pool/b"], Path("/"))
    for device in ("hd1", "hd0"):
        failed = {"operation": "read", "device": device, "reason": "Input/output error"}
        watch._failed(failed)
    assert str(watch.unread) == "/pool/b can't be read: Input/output error"
    assert watch.failure is None
