# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the appliance sees of an image: an overlay that reads it, and leaves it to its owner."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from maglica.disk import chain, qemu_img
from maglica.disk.chain import Chain, Layer
from maglica.guest.appliance import appliance
from maglica.guest.appliance.appliance import Drive
from maglica.guest.filesystem import ApplianceDied
from maglica.model.errors import StorageFailed


def create(path: Path, *words: str) -> Path:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *words[:-1], str(path), words[-1]]
    subprocess.run(command, check=True)
    return path


def qemu_io(path: Path, disk_format: str, *commands: str) -> None:
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-f", disk_format, *words, str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "failed" not in done.stdout, done.stdout


@contextmanager
def opened(path: Path, disk_format: str) -> Iterator[None]:
    """Have a disk open for writing, with its locks, as a running QEMU has."""
    command = ["qemu-io", "-f", disk_format, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"read 0 512\n")
        process.stdin.flush()
        assert b"read 512/512" in process.stdout.readline()
        try:
            yield
        finally:
            process.stdin.write(b"quit\n")


@pytest.fixture
def layers(tmp_path: Path) -> Chain:
    """An image of two layers: what is qcow2 upon what is raw, and begins like a qcow2 file."""
    trojan = create(tmp_path / "bottom, raw.img", "-b", "/etc/hostname", "-F", "raw", "1M")
    with trojan.open("ab") as file:
        file.truncate(1 << 20)
    top = create(tmp_path / "top.qcow2", "-b", str(trojan), "-F", "raw", "1M")
    qemu_io(top, "qcow2", "write -P 7 512k 64k")
    return chain.inspect(str(top), "qcow2", [])


def laid_over(layers: Chain, folder: Path) -> Path:
    path = folder / "overlay.qcow2"
    qemu_img.lay_over(layers[0], str(path))
    return path


def content(disk: Path) -> bytes:
    """What a qcow2 file's disk has, layers below it included."""
    raw = disk.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", str(disk), str(raw)], check=True)
    return raw.read_bytes()


def test_an_overlay_reads_all_layers_as_they_are_stated(layers: Chain, tmp_path: Path) -> None:
    overlay = laid_over(layers, tmp_path)
    assert overlay.stat().st_mode & 0o777 == 0o600
    seen, bottom = content(overlay), Path(layers[1].path).read_bytes()
    assert seen[: 512 << 10] == bottom[: 512 << 10]
    assert seen[512 << 10 : 576 << 10] == b"\7" * (64 << 10)


def test_a_copy_has_what_was_written_to_the_overlay_and_the_image_has_not(
    layers: Chain, tmp_path: Path
) -> None:
    before = chain.version("uuid", {"vda": chain.again(layers)})
    overlay = laid_over(layers, tmp_path)
    qemu_io(overlay, "qcow2", "write -P 9 0 64k")
    target = create(tmp_path / "base.qcow2", "1M")
    top = Layer(str(overlay), "qcow2", layers[0].size, overlay.stat().st_blocks * 512, ())
    qemu_img.copy(layers, str(target), lambda: None, top)
    overlay.unlink()
    qemu_io(target, "qcow2", "read -P 9 0 64k", "read -P 7 512k 64k", "read -P 0 576k 64k")
    assert chain.version("uuid", {"vda": chain.again(layers)}) == before


def test_an_image_may_be_started_while_it_is_looked_at(layers: Chain, tmp_path: Path) -> None:
    overlay = laid_over(layers, tmp_path)
    with opened(overlay, "qcow2"), opened(Path(layers[0].path), "qcow2"):
        pass
    target = create(tmp_path / "base.qcow2", "1M")
    with opened(Path(layers[0].path), "qcow2"):
        qemu_io(overlay, "qcow2", "read -P 7 512k 64k")
        qemu_img.copy(layers, str(target), lambda: None)
    assert content(target) == content(Path(layers[0].path))


def test_no_file_that_is_there_becomes_an_overlay(layers: Chain, tmp_path: Path) -> None:
    theirs = tmp_path / "overlay.qcow2"
    theirs.write_bytes(b"another's")
    with pytest.raises(StorageFailed, match="File exists"):
        laid_over(layers, tmp_path)
    assert theirs.read_bytes() == b"another's"


def test_a_disk_that_wants_all_memory_ends_the_appliance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each bitmap in a qcow2 file of little more than nothing may take 512 MiB of QEMU's memory."""
    evil = create(tmp_path / "evil.qcow2", "2T")
    for number in range(4):
        words = ["qemu-img", "bitmap", "--add", "-g", "512", str(evil), f"b{number}"]
        subprocess.run(words, check=True)
    overlay = laid_over(chain.inspect(str(evil), "qcow2", []), tmp_path)
    before = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setattr(appliance, "_SPACE", 11 << 28)
    with (
        pytest.raises(ApplianceDied, match="can't start its appliance"),
        appliance.launched([Drive(str(overlay), "qcow2")], use_kvm=False),
    ):
        pass
    assert resource.getrlimit(resource.RLIMIT_AS) == before
