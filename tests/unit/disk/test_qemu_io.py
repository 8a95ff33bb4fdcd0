# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How qemu-io is run to let a disk grow, and what is made of its end; it is a script here."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.disk import qemu_io
from maglica.disk.partitions import Patch
from maglica.model.errors import MaglicaError, NoRoom, StorageFailed
from support.noting_programs import make_noting


def make(folder: Path, body: str) -> None:
    make_noting(folder / "qemu-io", body)


def test_all_is_stated_and_limited(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    # Of what is to be written it reads the files.
    read = 'case $a in write*) set -- $a; cat "$4";; esac'
    make(programs, f'for a; do {read}; done > "${{0%/*}}/read"')
    patches = (Patch(1024, b"tail "), Patch(0, b"head"))
    qemu_io.grow("/pool/my vm.qcow2", "qcow2", 1 << 34, patches)
    words = (programs / "arguments").read_text().splitlines()
    assert words[:4] == ["-f", "qcow2", "-c", "truncate 17179869184"]
    assert words[5].startswith("write -q -s /proc/")
    assert (words[5].split()[4:], words[7].split()[4:]) == (["1024", "5"], ["0", "4"])
    assert words[8:] == ["-c", "flush", "/pool/my vm.qcow2"]
    assert (programs / "read").read_bytes() == b"tail head"
    assert (programs / "limits").read_text() == "--as=4294967296 --core=0 --cpu=60\n"
    assert "SECRET" not in (programs / "env").read_text()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("write failed: No space left on device", NoRoom),
        ("qemu-io: can't open device: Disk quota exceeded", NoRoom),
        ("qemu-io: Failed to grow the L1 table: File too large", StorageFailed),
        ("", StorageFailed),
    ],
)
def test_errors(programs: Path, words: str, error: type[MaglicaError]) -> None:
    make(programs, f'echo "{words}"; echo more; exit 1' if words else "exit 1")
    with pytest.raises(error, match=r"^disk /x can't be made larger: ") as raised:
        qemu_io.grow("/x", "qcow2", 1, ())
    assert raised.type is error
    assert str(raised.value).endswith(words or "qemu-io ended with 1")


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageFailed, match="qemu-io can't be run"):
        qemu_io.grow("/x", "qcow2", 1, ())
