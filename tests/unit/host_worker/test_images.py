# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that strangers made: what is accepted, what is refused, and what names their state."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from maglica.errors import ImageUnsupported, StorageFailed
from maglica.host_worker import images
from maglica.host_worker.images import Header, backing_of, inspect, parse_header, source, version
from support.qcow2 import BACKING_FORMAT, DATA_FILE, FEATURE_NAMES, LUKS, MIB, header

QCOW2_FORMAT = (BACKING_FORMAT, b"qcow2")
RAW_FORMAT = (BACKING_FORMAT, b"raw")


def make(path: Path, data: bytes, backing: str | None = None, kind: bytes = b"qcow2") -> str:
    """Make a file; with ``backing`` a qcow2 file upon that one."""
    if backing is not None:
        data = header(extensions=[(BACKING_FORMAT, kind)], backing=backing.encode())
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(), Header(64 * MIB)),
        (header(version=2), Header(64 * MIB)),
        (header(size=0), Header(0)),
        (header(size=1 << 50), Header(1 << 50)),
        (header(cluster_bits=9), Header(64 * MIB)),
        (header(cluster_bits=21), Header(64 * MIB)),
        (header(incompatible=1), Header(64 * MIB)),
        (header(incompatible=8, header_length=112), Header(64 * MIB)),
        (header(incompatible=16), Header(64 * MIB)),
        (header(incompatible=25), Header(64 * MIB)),
        (header(extensions=[(FEATURE_NAMES, b"\0" * 48)]), Header(64 * MIB)),
        (header(extensions=[(0x12345678, b"unknown")]), Header(64 * MIB)),
        (header(extensions=[QCOW2_FORMAT]), Header(64 * MIB)),
        (header(backing=b"b.qcow2"), Header(64 * MIB, "b.qcow2")),
        (header(version=2, backing=b"b"), Header(64 * MIB, "b")),
        (
            header(backing=b"b.qcow2", extensions=[QCOW2_FORMAT]),
            Header(64 * MIB, "b.qcow2", "qcow2"),
        ),
        (
            header(backing=b"/x/b", extensions=[(FEATURE_NAMES, b"\0" * 96), RAW_FORMAT]),
            Header(64 * MIB, "/x/b", "raw"),
        ),
        (header(backing=b"x" * 1023), Header(64 * MIB, "x" * 1023)),
        (header(backing=b"caf\xe9"), Header(64 * MIB, "caf\udce9")),
        (header() + b"\xff" * 4096, Header(64 * MIB)),
    ],
)
def test_good_headers(data: bytes, expected: Header) -> None:
    assert parse_header(data) == expected


@pytest.mark.parametrize(
    "data", [b"", b"QFI\xfb", b"\0" * 4096, header(magic=b"QED\0"), b"KDMV" + b"\0" * 100]
)
def test_what_is_no_qcow2(data: bytes) -> None:
    assert parse_header(data) is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (header(version=1), "new version"),
        (header(version=4), "new version"),
        (header(version=0xFFFFFFFF), "new version"),
        (header(cluster_bits=8), "damaged"),
        (header(cluster_bits=22), "damaged"),
        (header(cluster_bits=0xFFFFFFFF), "damaged"),
        (header(size=1 << 62), "damaged"),
        (header(encrypted=1), "encrypted"),
        (header(encrypted=2), "encrypted"),
        (header(incompatible=2), "corrupt"),
        (header(incompatible=4), "another file"),
        (header(incompatible=32), "unknown qcow2 features"),
        (header(incompatible=1 << 63), "unknown qcow2 features"),
        (header()[:80], "cut off"),
        (header(header_length=96), "damaged"),
        (header(header_length=105), "damaged"),
        (header(header_length=0xFFFFFFF8), "damaged"),
        (header(extensions=[(DATA_FILE, b"/etc/shadow")]), "another file"),
        (header(extensions=[(LUKS, b"\0" * 16)]), "encrypted"),
        (header(backing=b"b", backing_length=0), "backing file is damaged"),
        (header(backing=b"x" * 1024), "backing file is damaged"),
        (header(backing=b"b", backing_length=0xFFFFFFFF), "backing file is damaged"),
        (header(backing=b"b", backing_offset=1 << 40), "backing file is damaged"),
        (header(backing=b"a\0b"), "backing file is damaged"),
        (header()[:104] + b"\x12\x34\x56\x78\xff\xff\xff\xff" + b"\0" * 64, "damaged"),
    ],
)
def test_bad_headers(data: bytes, problem: str) -> None:
    with pytest.raises(ImageUnsupported, match=problem):
        parse_header(data)


def test_a_raw_disk_is_raw_whatever_is_in_it(tmp_path: Path) -> None:
    evil = make(tmp_path / "evil.raw", b"", backing="/etc/shadow", kind=b"raw")
    (layer,) = inspect(evil, "raw", [])
    assert (layer.format, layer.size) == ("raw", Path(evil).stat().st_size)
    assert json.loads(source([layer])[5:]) == {
        "driver": "raw",
        "file": {"driver": "file", "filename": evil},
    }


def test_a_chain(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    bottom = make(pool / "bottom.raw", b"x" * 5000)
    middle = make(tmp_path / "middle", b"", backing="pool/bottom.raw", kind=b"raw")
    top = make(tmp_path / "top", b"", backing=middle)
    chain = inspect(top, "qcow2", [str(pool)])
    assert [(layer.path, layer.format) for layer in chain] == [
        (top, "qcow2"),
        (middle, "qcow2"),
        (bottom, "raw"),
    ]
    assert chain[2].size == 5000
    named = json.loads(source(chain)[5:])
    assert named["backing"]["backing"]["file"]["filename"] == bottom


def test_a_lone_qcow2_file_is_said_to_have_no_backing_file(tmp_path: Path) -> None:
    chain = inspect(make(tmp_path / "top", header()), "qcow2", [])
    assert json.loads(source(chain)[5:])["backing"] is None


def test_a_link_to_a_backing_file_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to("/etc/hostname")
    top = make(tmp_path / "top", b"", backing="innocent", kind=b"raw")
    with pytest.raises(ImageUnsupported, match="outside the storage pools"):
        inspect(top, "qcow2", [])


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
    ],
)
def test_backing_files_that_lead_elsewhere(tmp_path: Path, backing: str) -> None:
    top = make(tmp_path / "top", b"", backing=backing, kind=b"raw")
    with pytest.raises(
        ImageUnsupported, match=r"outside the storage pools|no local file"
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
    assert version("uuid", {"vda": images.again(chains["vda"])}) != first


def test_again_notices_a_file_that_is_gone(tmp_path: Path) -> None:
    chain = inspect(make(tmp_path / "disk", b""), "raw", [])
    (tmp_path / "disk").unlink()
    with pytest.raises(StorageFailed, match=r"disk .*/disk can't be read"):
        images.again(chain)


def test_a_block_device_has_no_version() -> None:
    chain = (images.Layer("/dev/vg/image", "raw", 1, 1, None),)
    assert version("uuid", {"vda": chain}) is None
    assert images.again(chain) == chain
    assert json.loads(source(chain)[5:])["file"]["driver"] == "host_device"


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
