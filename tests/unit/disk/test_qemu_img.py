# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How qemu-img is run and what is made of its end; it is a script here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from maglica.disk import mounts, qemu_img
from maglica.disk.chain import Layer
from maglica.disk.room import Room
from maglica.model.errors import MaglicaError, NoRoom, StorageFailed
from support.noting_programs import make_noting

CHAIN = (Layer("/images/disk.raw", "raw", 1 << 30, 1 << 29, (1,)),)


def make(folder: Path, body: str) -> None:
    make_noting(folder / "qemu-img", body)


def copy(tmp_path: Path) -> int:
    """Copy; return how many signs of life there were."""
    signs: list[bool] = []
    target = tmp_path / "target.qcow2"
    target.touch()
    qemu_img.copy(CHAIN, str(target), lambda: signs.append(True))
    return len(signs)


def test_all_is_stated_and_limited(programs: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    make(programs, "exit 0")
    copy(tmp_path)
    *options, source, target = (programs / "arguments").read_text().splitlines()
    assert options == ["convert", "-p", "-n", "-t", "writeback", "-O", "qcow2"]
    assert target == str(tmp_path / "target.qcow2")
    assert json.loads(source[5:])["driver"] == "raw"
    assert (programs / "limits").read_text() == "--as=4294967296 --core=0 --cpu=600\n"
    environment = (programs / "env").read_text()
    assert "LC_ALL=C" in environment
    assert "SECRET" not in environment


def test_progress_is_a_sign_of_life_and_standstill_is_none(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(programs, "printf '    (%s/100%%)\\r' 10.00 20.00 20.00 20.00 99.10")
    one, read = len("    (10.00/100%)\r"), os.read
    # As if each was read before the next was written.
    monkeypatch.setattr(qemu_img.os, "read", lambda source, size: read(source, min(size, one)))
    assert copy(tmp_path) == 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("error while writing at byte 0: No space left on device", NoRoom),
        ("error while writing at byte 0: Disk quota exceeded", NoRoom),
        ("Could not open: Failed to get shared lock", StorageFailed),
        ("", StorageFailed),
    ],
)
def test_failures(programs: Path, tmp_path: Path, words: str, error: type[MaglicaError]) -> None:
    make(programs, f"echo 'first line' >&2; echo '{words}' >&2; exit 1" if words else "exit 3")
    with pytest.raises(error) as caught:
        copy(tmp_path)
    text = str(caught.value)
    assert text.startswith("disk /images/disk.raw (0.5 GiB) can't be copied to /")
    assert text.endswith(words or "qemu-img ended with 3")
    assert " GiB free: " in text


def test_no_room_is_found_before_anything_is_written(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(programs, "exit 0")
    monkeypatch.setattr(mounts, "room", lambda _path: Room(1 << 30, 1 << 28))
    with pytest.raises(NoRoom, match=r"disk.raw \(0.5 GiB\) can't be copied .*, 0.2 GiB free"):
        copy(tmp_path)
    assert not (programs / "arguments").exists()


@pytest.mark.parametrize(("end", "sound"), [(0, True), (2, False), (3, False), (63, False)])
def test_what_counts_its_clusters_wrongly(programs: Path, end: int, sound: bool) -> None:
    """It has a line for each, more than a pipe has room for."""
    make(programs, f"head -c 1000000 /dev/zero >&2; exit {end}")
    assert qemu_img.is_sound("/images/disk.qcow2") is sound
    told = (programs / "arguments").read_text().splitlines()
    assert told == ["check", "-q", "-f", "qcow2", "/images/disk.qcow2"]


def test_a_check_that_takes_long_says_that_it_goes_on(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_img, "_LOOK_SECONDS", 0.01)
    make(programs, f"while ! [ -e {tmp_path}/heard ]; do sleep 0.01; done")
    assert qemu_img.is_sound("/images/disk.qcow2", (tmp_path / "heard").touch)


def test_a_map_has_nothing_of_the_files_below(programs: Path) -> None:
    """Their offsets are places in those, where the disk's own file has something else."""
    pieces = [
        {"start": 0, "length": 4096, "depth": 1, "zero": False, "data": True, "offset": 65536},
        {"start": 4096, "length": 512, "depth": 0, "zero": False, "data": True, "offset": 65536},
        {"start": 4608, "length": 512, "depth": 0, "zero": True, "data": False},
    ]
    # Ours notes three limits, and this has a fourth one.
    (programs / "prlimit").unlink()
    make(programs, f"echo '{json.dumps(pieces)}'")
    assert qemu_img.map_of("/images/base.qcow2") == [(4096, 65536, 512)]


def test_no_program(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageFailed, match="qemu-img can't be run"):
        copy(tmp_path)
    with pytest.raises(StorageFailed, match="qemu-img can't be run"):
        qemu_img.is_sound("/images/disk.qcow2")


def test_a_target_that_vanished(programs: Path, tmp_path: Path) -> None:
    make(programs, f"rm {tmp_path}/target.qcow2")
    with pytest.raises(StorageFailed, match="can't be written to the disk"):
        copy(tmp_path)


def test_a_copy_that_is_given_up_ends_at_once(programs: Path, tmp_path: Path) -> None:
    make(programs, "trap '' PIPE; echo '(1.00/100%)'; sleep 5; touch \"${0%/*}/ended\"")

    def full() -> None:
        raise NoRoom("others need it")

    target = tmp_path / "target.qcow2"
    target.touch()
    with pytest.raises(NoRoom, match="others need it"):
        qemu_img.copy(CHAIN, str(target), full)
    assert not (programs / "ended").exists()
