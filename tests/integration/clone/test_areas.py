# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones customized by writing into areas of their disks, looked at through real mounts."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from maglica.disk import qemu_img
from maglica.guest import ssh_keys
from maglica.guest.appliance.appliance import Drive
from maglica.guest.areas import writes
from maglica.guest.areas.writes import Writer
from maglica.guest.clone_plan import plan
from maglica.guest.customize import Guest, write_areas
from maglica.guest.facts import GuestFacts
from maglica.guest.identity import Identity, NicIdentity
from maglica.guest.prepare import placed
from support import guest as debian
from support import volumes
from support.offline_base import prepare_offline

pytestmark = pytest.mark.timeout(600)

MIB = 1 << 20
NAME = "web0.example.jp"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEW me"
NIC = NicIdentity("52:54:00:00:00:01", ("192.0.2.7/24",), ("192.0.2.1",), ("192.0.2.54",))


@dataclass(frozen=True)
class Layout:
    """A guest's disk: where on it which of its file systems lie, as (kind, offset, bytes)."""

    disk: Path
    parts: Mapping[str, tuple[str, int, int]]


@dataclass(frozen=True)
class Made:
    """A base and a clone of it, which was written to in areas only."""

    facts: GuestFacts
    base: Drive
    overlay: Path
    identity: Identity
    parts: Mapping[str, tuple[str, int, int]]

    @property
    def has_large_blocks(self) -> bool:
        return len(self.parts) == 1


def on_partition(folder: Path, kind: str) -> Layout:
    """Make a disk with one partition, which has the whole guest."""
    fstab = f"/dev/vda1 / {kind} defaults 0 1\n"
    tree = debian.make_tree(folder / "tree", {"etc/fstab": fstab})
    size = {"ext4": 24, "xfs": 320, "btrfs": 128}[kind] * MIB
    # A file system so small would have blocks of 1 KiB.
    options = ("-b", "4096") if kind == "ext4" else ()
    part = volumes.make(folder / "part", kind, size, tree, options)
    disk = volumes.partitioned(folder / "disk.raw", part)
    return Layout(disk, {"/": (kind, MIB, size)})


def on_lvm(folder: Path) -> Layout:
    """Make a disk with a volume group: / is ext4, and /var is xfs."""
    fstab = "/dev/vg0/root / ext4 defaults 0 1\n/dev/vg0/var /var xfs defaults 0 2\n"
    tree = debian.make_tree(folder / "tree", {"etc/fstab": fstab})
    (tree / "var").rename(folder / "var")
    (tree / "var").mkdir()
    parts = {"/": ("ext4", MIB, 40 * MIB), "/var": ("xfs", 41 * MIB, 320 * MIB)}
    made = {
        "root": volumes.make(folder / "root", *parts["/"][::2], tree),
        "var": volumes.make(folder / "xfs", *parts["/var"][::2], folder / "var"),
    }
    return Layout(volumes.in_group(folder / "disk.raw", made), parts)


LAYOUTS = {
    "ext4 on a partition": lambda folder: on_partition(folder, "ext4"),
    "xfs on a partition": lambda folder: on_partition(folder, "xfs"),
    "ext4 and xfs on LVM": on_lvm,
}


def prepared(layout: Layout) -> tuple[Drive, GuestFacts]:
    base = layout.disk.with_suffix(".qcow2")
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(layout.disk), str(base)]
    subprocess.run(command, check=True)
    drive = Drive(str(base), "qcow2")
    return drive, placed(prepare_offline([drive]), [drive], qemu_img.map_of)


def overlay_of(base: Drive, name: str) -> Path:
    overlay = Path(base.path).with_name(f"{name}.qcow2")
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.path, "-F", "qcow2"]
    subprocess.run([*command, str(overlay)], check=True)
    return overlay


@pytest.fixture(scope="module", params=LAYOUTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("layout")
    layout = LAYOUTS[request.param](folder)
    base, facts = prepared(layout)
    overlay = overlay_of(base, "clone")
    (folder / "keys").mkdir()
    identity = Identity(
        NAME,
        "0123456789abcdef" * 2,
        (NIC,),
        ssh_keys.host_keys(facts.ssh_host_keys, NAME, folder / "keys"),
        bytes(range(256)) * 2,
        (KEY,),
    )
    guest = Guest(NAME, (Drive(str(overlay), "qcow2"),), plan(facts, identity))
    with Writer() as writer:
        assert write_areas([guest], facts, [base], writer) == {NAME: None}
    return Made(facts, base, overlay, identity, layout.parts)


@contextmanager
def mounted(made: Made, path: Path) -> Iterator[dict[str, Path]]:
    """Mount the clone's file systems as the machine's own; yield them by mountpoint."""
    parts = volumes.parts(made.overlay, made.parts, path)
    found = {}
    try:
        for number, (mountpoint, part) in enumerate(parts.items()):
            found[mountpoint] = path / f"mnt{number}"
            found[mountpoint].mkdir()
            options = "ro,loop" + (",nouuid" if made.parts[mountpoint][0] == "xfs" else "")
            command = ["mount", "-o", options, str(part), str(found[mountpoint])]
            subprocess.run(command, check=True)
        yield found
    finally:
        for place in found.values():
            subprocess.run(["umount", str(place)], check=False)


def test_all_files_are_as_planned(made: Made, tmp_path: Path) -> None:
    wanted = {edit.path: edit for edit in plan(made.facts, made.identity)}
    assert set(wanted) == {area.path for area in made.facts.areas}
    assert len(wanted) >= 11
    sizes = {area.path: area.inode is not None for area in made.facts.areas}
    if made.has_large_blocks:
        assert all(sizes.values())
    assert sizes["/etc/hostname"]
    with mounted(made, tmp_path) as roots:
        for path, edit in wanted.items():
            mountpoint = max((root for root in roots if path.startswith(root)), key=len)
            file = roots[mountpoint] / path[len(mountpoint) :].lstrip("/")
            content, status = file.read_bytes(), file.stat()
            _assert_as_by_hand(path, content, edit.content, exact=sizes[path])
            assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (edit.mode, 0, 0)
        assert made.facts.fill.encode() not in b"".join(
            file.read_bytes() for file in roots["/"].rglob("*") if file.is_file()
        )


def _assert_as_by_hand(path: str, content: bytes, wanted: bytes, exact: bool) -> None:
    """A file in one block is as long as its content; any other ends with one comment, if at all."""
    assert content.startswith(wanted), path
    rest = content[len(wanted) :]
    if exact or not rest:
        assert not rest, path
    else:
        assert rest.startswith(b"# This line fills the room") and rest.count(b"\n") == 1, path


def test_the_file_systems_are_sound(made: Made, tmp_path: Path) -> None:
    for mountpoint, part in volumes.parts(made.overlay, made.parts, tmp_path).items():
        assert volumes.problems(part, made.parts[mountpoint][0]) == ""


def test_openssh_takes_the_keys(made: Made, tmp_path: Path) -> None:
    with mounted(made, tmp_path) as roots:
        for key in made.identity.host_keys:
            path = roots["/"] / f"etc/ssh/ssh_host_{key.type}_key"
            command = ["ssh-keygen", "-y", "-P", "", "-f", str(path)]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert told.strip() == key.public


def test_little_is_written(made: Made) -> None:
    assert made.overlay.stat().st_blocks * 512 < 4 * MIB


def test_what_was_written_to_the_base_is_noticed(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = tmp_path / "changed.qcow2"
    changed.write_bytes(Path(made.base.path).read_bytes())
    extent = made.facts.areas[0].extents[0]
    command = ["qemu-io", "-f", "qcow2", "-c", f"write -P 65 {extent.offset} 1", str(changed)]
    subprocess.run(command, check=True, capture_output=True)
    overlay = overlay_of(made.base, "other")
    before = overlay.read_bytes()
    guest = Guest(NAME, (Drive(str(overlay), "qcow2"),), plan(made.facts, made.identity))
    assert write_areas([guest], made.facts, [Drive(str(changed), "qcow2")], Writer()) == {}
    assert "is not as made" in caplog.text
    assert overlay.read_bytes() == before


def test_btrfs_has_no_areas(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It keeps checksums of what files hold."""
    caplog.set_level(logging.INFO)
    _base, facts = prepared(on_partition(tmp_path, "btrfs"))
    assert (facts.areas, facts.fill) == ((), "")
    assert facts.laid_out
    assert not re.search("areas found", caplog.text)


def test_files_inside_inodes_have_no_areas(tmp_path: Path) -> None:
    """ext4 with inline_data: /etc/machine-id is so short that it has no block of its own."""
    tree = debian.make_tree(tmp_path / "tree")
    part = volumes.make(tmp_path / "part", "ext4", 24 * MIB, tree, ("-O", "inline_data"))
    base, facts = prepared(Layout(part, {}))
    assert facts.areas == ()
    assert facts.fill
    overlay = overlay_of(base, "clone")
    guest = Guest(NAME, (Drive(str(overlay), "qcow2"),), plan(facts, Identity(NAME, "0" * 32)))
    assert write_areas([guest], facts, [base], Writer()) == {}


def test_a_disk_in_too_many_parts_is_not_searched(
    made: Made, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list ends at the limit, and qemu-img with it."""
    pieces = qemu_img.map_of(made.base.path)
    assert list(writes.hits([made.base], [pieces], made.facts.fill, lambda: None))
    monkeypatch.setattr(qemu_img, "MAX_MAP", 512)
    assert qemu_img.map_of(made.base.path) == []
    assert f"{made.base.path} is in too many parts to be searched" in caplog.text
