# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The medium that cloud-init reads."""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pycdlib
import pytest
from maglica.disk.seed_volume import image, is_seed

FILES = {
    "meta-data": b"instance-id: a\n",
    "user-data": b"#cloud-config\n" + bytes(range(256)) * 100,
    "network-config": b"",
}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another time in another place, from now on."""
    before = time.time
    monkeypatch.setattr(time, "time", lambda: before() + 3e7)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_files_are_in_it() -> None:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image(FILES)))
    assert iso.pvd.volume_identifier.rstrip() == b"cidata"
    for kind in ("rr_path", "joliet_path"):
        for name, content in FILES.items():
            found = io.BytesIO()
            iso.get_file_from_iso_fp(found, **{kind: f"/{name}"})
            assert found.getvalue() == content
    for name in FILES:
        assert iso.get_record(rr_path=f"/{name}").rock_ridge.get_file_mode() == 0o100400


def test_the_same_files_are_the_same_bytes(request: pytest.FixtureRequest) -> None:
    first = image(FILES)
    request.getfixturevalue("elsewhere")
    assert image(dict(reversed(FILES.items()))) == first
    assert image({**FILES, "meta-data": b"instance-id: b\n"}) != first


def test_seeds_are_known(tmp_path: Path) -> None:
    seed = tmp_path / "seed.iso"
    seed.write_bytes(image(FILES))
    assert is_seed(str(seed))
    capitals = bytearray(image(FILES))
    capitals[16 * 2048 + 40 : 16 * 2048 + 46] = b"CIDATA"
    seed.write_bytes(capitals)
    assert is_seed(str(seed))


@pytest.mark.parametrize(("kind", "place", "label"), [(b"FAT12", 54, 43), (b"FAT32", 82, 71)])
def test_seeds_on_fat_are_known(tmp_path: Path, kind: bytes, place: int, label: int) -> None:
    seed = tmp_path / "seed.img"
    content = bytearray(1 << 20)
    content[place : place + 8] = kind.ljust(8)
    for name, is_one in ((b"CIDATA", True), (b"OTHER", False)):
        content[label : label + 11] = name.ljust(11)
        seed.write_bytes(content)
        assert is_seed(str(seed)) is is_one


@pytest.mark.parametrize("kind", [b"FAT16", b"FAT32"])
def test_the_label_of_a_fat_s_first_directory_counts(tmp_path: Path, kind: bytes) -> None:
    """That of the first sector may be another, or none."""
    seed = tmp_path / "seed.img"
    content = bytearray(1 << 20)
    # Sectors, sectors of a cluster, reserved ones, tables, entries of the first directory.
    sizes = (512, 4, 4, 2, 512) if kind == b"FAT16" else (512, 4, 4, 2, 0)
    struct.pack_into("<HBHBH", content, 11, *sizes)
    if kind == b"FAT16":
        struct.pack_into("<H", content, 22, 16)
        content[43:62] = b"NO NAME    FAT16   "
        place = (4 + 2 * 16) * 512
    else:
        struct.pack_into("<I", content, 36, 16)
        struct.pack_into("<I", content, 44, 5)
        content[71:90] = b"NO NAME    FAT32   "
        place = (4 + 2 * 16 + 3 * 4) * 512
    entries = [b"\xe5IDATA     \x08", b"Ac\0i\0d\0a\0t\0\x0f", b"CIDATA     \x10"]
    for number, entry in enumerate(entries):
        content[place + 32 * number : place + 32 * number + len(entry)] = entry
    seed.write_bytes(content)
    assert not is_seed(str(seed))
    content[place + 96 : place + 108] = b"cidata     \x08"
    seed.write_bytes(content)
    assert is_seed(str(seed))
    # Wherever it says that the directory is: nothing is there.
    for wrong in (b"\0" * 4, b"\xff" * 4):
        content[44:48] = wrong
        content[14:16] = wrong[:2]
        seed.write_bytes(content)
        assert not is_seed(str(seed))


def test_what_is_none(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(image(FILES).replace(b"cidata", b"cdrom1", 1))
    short = tmp_path / "short"
    short.write_bytes(b"cidata")
    os.mkfifo(tmp_path / "pipe")
    for name in ("other", "short", "pipe", "nothing", "."):
        assert not is_seed(str(tmp_path / name))
