# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that strangers made: what is accepted, what is refused, and what names their state."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from maglica.disk import chain
from maglica.disk.chain import backing_of, inspect, source, version
from maglica.model.errors import ImageUnsupported, StorageFailed
from support.qcow2 import BACKING_FORMAT, header, whole


def make(path: Path, data: bytes, backing: str | None = None, kind: bytes = b"qcow2") -> str:
    """Make a file; with ``backing`` a qcow2 file upon that one."""
    if backing is not None:
        data = header(extensions=[(BACKING_FORMAT, kind)], backing=backing.encode())
    path.write_bytes(data)
    return str(path)


def test_a_raw_disk_is_raw_whatever_is_in_it(tmp_path: Path) -> None:
    evil = make(tmp_path / "evil.raw", b"", backing="/etc/shadow", kind=b"raw")
    (layer,) = inspect(evil, "raw", [])
    assert (layer.format, layer.size) == ("raw", Path(evil).stat().st_size)
    assert json.loads(source([layer])[5:]) == {
        "driver": "raw",
        "file": {"driver": "file", "filename": evil, "locking": "off"},
    }


def test_a_chain(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    bottom = make(pool / "bottom.raw", b"x" * 5000)
    middle = make(tmp_path / "middle", b"", backing="pool/bottom.raw", kind=b"raw")
    top = make(tmp_path / "top", b"", backing=middle)
    layers = inspect(top, "qcow2", [str(pool)])
    assert [(layer.path, layer.format) for layer in layers] == [
        (top, "qcow2"),
        (middle, "qcow2"),
        (bottom, "raw"),
    ]
    assert layers[2].size == 5000
    named = json.loads(source(layers)[5:])
    assert named["backing"]["backing"]["file"]["filename"] == bottom


def test_a_lone_qcow2_file_is_said_to_have_no_backing_file(tmp_path: Path) -> None:
    layers = inspect(make(tmp_path / "top", header()), "qcow2", [])
    assert json.loads(source(layers)[5:])["backing"] is None


def test_beside_a_block_device_are_all_devices_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands for the device."""
    make(tmp_path / "secret", b"x" * 512)
    top = make(tmp_path / "top", b"", backing="secret", kind=b"raw")
    assert len(inspect(top, "qcow2", [])) == 2
    monkeypatch.setattr(chain.stat, "S_ISBLK", lambda _mode: True)
    with pytest.raises(ImageUnsupported, match="outside the storage pools"):
        inspect(top, "qcow2", [])
    assert len(inspect(top, "qcow2", [str(tmp_path)])) == 2


def test_a_link_to_a_backing_file_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/etc/hostname")
    top = make(tmp_path / "top", b"", backing="innocent", kind=b"raw")
    with pytest.raises(ImageUnsupported, match="outside the storage pools"):
        inspect(top, "qcow2", [])


def test_a_link_to_a_disk_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    pool, other = tmp_path / "pool", tmp_path / "other"
    for folder in (pool, other):
        folder.mkdir()
        make(folder / "disk", b"x" * 512)
    (pool / "inside").symlink_to("disk")
    (pool / "outside").symlink_to(other / "disk")
    (tmp_path / "folder").symlink_to(pool)
    assert inspect(str(pool / "inside"), "raw", [])[0].size == 512
    assert inspect(str(tmp_path / "folder" / "disk"), "raw", [])[0].size == 512
    assert inspect(str(pool / "outside"), "raw", [str(other)])[0].size == 512
    with pytest.raises(ImageUnsupported, match=r"outside can't be used: it is a link that leads"):
        inspect(str(pool / "outside"), "raw", [])


@pytest.mark.parametrize("name", ["line\nbreak", "caf\udce9", "\x1b[2J"])
def test_a_name_that_can_not_be_stated(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageUnsupported, match="characters that are not shown") as caught:
        inspect(make(tmp_path / name, b""), "raw", [])
    assert str(caught.value).isprintable()


def test_what_a_copy_takes(tmp_path: Path) -> None:
    raw = inspect(make(tmp_path / "raw", b"x" * 8192), "raw", [])
    assert chain.content_bytes(raw) == 8192
    plain = make(tmp_path / "plain", whole([5 << 16, 6 << 16]))
    assert chain.content_bytes(inspect(plain, "qcow2", [])) == 2 << 16
    small = make(tmp_path / "small", whole([1 << 62 | 5 << 16] * 512))
    assert chain.content_bytes(inspect(small, "qcow2", [])) == 512 << 16
    bad = make(tmp_path / "bad", whole([99 << 16]))
    with pytest.raises(ImageUnsupported, match=rf"disk {bad} can't be used: it is cut off"):
        chain.content_bytes(inspect(bad, "qcow2", []))


def test_what_a_copy_of_a_block_device_takes(tmp_path: Path) -> None:
    """A file stands for the device; only what a device can't tell is unlike one."""
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(3 << 30)
        for place in (0, 5 << 16, (5 << 16) + 4096, (3 << 30) - 1):
            file.seek(place)
            file.write(b"x")
    device = (replace(inspect(str(disk), "raw", [])[0], identity=None, allocated=0),)
    assert chain.allocated_bytes(device) == 0
    # Where all of it has room, it is not read.
    assert chain.content_bytes(device, 3 << 30) == 3 << 30
    told: list[None] = []
    assert chain.content_bytes(device, 1 << 30, lambda: told.append(None)) == 3 << 16
    assert len(told) > 10
    # No more is read than it takes to know that there is no room.
    told.clear()
    assert chain.content_bytes(device, 1 << 16, lambda: told.append(None)) == 2 << 16
    assert len(told) == 1
    above = (inspect(make(tmp_path / "top", whole([5 << 16])), "qcow2", [])[0], *device)
    assert chain.content_bytes(above, 1 << 30) == min(above[0].size, 4 << 16)


def test_what_a_copy_of_qcow2_on_a_block_device_takes(tmp_path: Path) -> None:
    (layer,) = inspect(make(tmp_path / "plain", whole([5 << 16, 6 << 16])), "qcow2", [])
    assert chain.content_bytes((replace(layer, identity=None, allocated=0),)) == 2 << 16


@pytest.mark.parametrize(
    "backing",
    [
        "/etc/shadow",
        "../../../../../../../../etc/shadow",
        "nbd:localhost:10809",
        "nbd://localhost/x",
        "json:{}",
        'json:{"driver":"raw","file.filename":"/etc/shadow"}',
        "file:/etc/shadow",
        "fat:rw:/etc",
        "http://localhost/",
        "ssh://localhost/etc/shadow",
        ":x",
        # QEMU opens /top2 of the host, while realpath(3) ends beside the disk.
        "host_device:/../top2",
    ],
)
def test_backing_files_that_lead_elsewhere(tmp_path: Path, backing: str) -> None:
    make(tmp_path / "top2", b"x" * 512)
    top = make(tmp_path / "top", b"", backing=backing, kind=b"raw")
    with pytest.raises(
        ImageUnsupported, match=r"outside the storage pools|not a local file"
    ) as caught:
        inspect(top, "qcow2", [])
    assert str(tmp_path / "top") in str(caught.value)


@pytest.mark.parametrize("kind", [b"vmdk", b"vdi", b"qed", b"vvfat", b"nbd", b"", b"\xff"])
def test_formats_of_backing_files(tmp_path: Path, kind: bytes) -> None:
    make(tmp_path / "bottom", b"")
    top = make(tmp_path / "top", b"", backing="bottom", kind=kind)
    with pytest.raises(ImageUnsupported, match="has the format"):
        inspect(top, "qcow2", [])


def test_a_format_that_is_not_stated(tmp_path: Path) -> None:
    make(tmp_path / "bottom", header())
    top = make(tmp_path / "top", header(backing=b"bottom"))
    with pytest.raises(ImageUnsupported, match="does not state the format"):
        inspect(top, "qcow2", [])


def test_a_loop(tmp_path: Path) -> None:
    make(tmp_path / "b", b"", backing="a")
    with pytest.raises(ImageUnsupported, match="more than 32 layers, or a loop"):
        inspect(make(tmp_path / "a", b"", backing="b"), "qcow2", [])


@pytest.mark.parametrize("disk_format", ["vmdk", "", "luks"])
def test_formats_of_disks(tmp_path: Path, disk_format: str) -> None:
    with pytest.raises(ImageUnsupported, match="has the format"):
        inspect(make(tmp_path / "disk", b""), disk_format, [])


def test_qcow2_by_name_only(tmp_path: Path) -> None:
    with pytest.raises(ImageUnsupported, match="no qcow2 header"):
        inspect(make(tmp_path / "disk", b"\0" * 4096), "qcow2", [])


def test_a_bad_header_names_the_file(tmp_path: Path) -> None:
    disk = make(tmp_path / "disk", header(encrypted=1))
    with pytest.raises(ImageUnsupported, match=rf"disk {disk} can't be used: it is encrypted"):
        inspect(disk, "qcow2", [])


def test_odd_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageUnsupported, match="neither a file nor a block device"):
        inspect(str(tmp_path / "pipe"), "raw", [])
    with pytest.raises(StorageFailed, match="can't be read: No such file"):
        inspect(str(tmp_path / "nothing"), "raw", [])
    with pytest.raises(StorageFailed, match="can't be read"):
        inspect(str(tmp_path), "raw", [])


def test_version(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    chains = {"vda": inspect(make(disk, b"one"), "raw", [])}
    first = version("uuid", chains)
    assert first is not None
    assert len(first) == 64
    assert version("uuid", {"vda": inspect(str(disk), "raw", [])}) == first
    assert version("other", chains) != first
    assert version("uuid", {"vdb": chains["vda"]}) != first
    os.utime(disk, ns=(0, 1))
    assert version("uuid", {"vda": chain.again(chains["vda"])}) != first


def test_again_notices_a_file_that_is_gone(tmp_path: Path) -> None:
    layers = inspect(make(tmp_path / "disk", b""), "raw", [])
    (tmp_path / "disk").unlink()
    with pytest.raises(StorageFailed, match=r"disk .*/disk can't be read"):
        chain.again(layers)


def test_a_file_system_that_is_mounted_as_another_device_makes_no_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = make(tmp_path / "disk", b"x")
    before = version("uuid", {"vda": inspect(disk, "raw", [])})
    fstat = os.fstat

    def moved(descriptor: int) -> SimpleNamespace:
        status = fstat(descriptor)
        fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        return SimpleNamespace(**{**fields, "st_dev": status.st_dev + 1})

    monkeypatch.setattr(os, "fstat", moved)
    assert version("uuid", {"vda": inspect(disk, "raw", [])}) == before


def test_a_block_device_has_no_version() -> None:
    layers = (chain.Layer("/dev/vg/image", "raw", 1, 1, None),)
    assert version("uuid", {"vda": layers}) is None
    assert chain.again(layers) == layers
    assert json.loads(source(layers)[5:])["file"]["driver"] == "host_device"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(backing=b"base"), "base"),
        (header(backing=b"/abs/base"), "/abs/base"),
        (header(backing=b"base", incompatible=1 << 60, encrypted=1), "base"),
        (header(), None),
        (header(backing=b"a\0b"), None),
        (header(backing=b"b", backing_offset=1 << 63), None),
        (b"", None),
        (b"\0" * 200, None),
    ],
)
def test_backing_of(tmp_path: Path, data: bytes, expected: str | None) -> None:
    path = make(tmp_path / "file", data)
    assert backing_of(path) == (None if expected is None else str(tmp_path / expected))


def test_backing_of_what_is_no_file(tmp_path: Path) -> None:
    assert backing_of(str(tmp_path)) is None
    assert backing_of(str(tmp_path / "nothing")) is None
