# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests are written to in areas, when the base is as it was made and when it is not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.guest.appliance.appliance import Drive
from maglica.guest.areas.plan import fill
from maglica.guest.areas.writes import DiskPatches, Writer, is_untouched
from maglica.guest.customize import Guest, write_areas
from maglica.guest.edits import SetPassword, Write
from maglica.guest.facts import Area, Extent, GuestFacts, Inode, Mount

START = "0123456789abcdef"
INODE = Inode("ext", bytes(128).hex(), 1024, None, Extent(1, 5120, 128, 1536))
AREA = Area("/etc/hostname", 128, (Extent(1, 4096, 128, 512),), INODE)
FACTS = GuestFacts(
    (Mount("/", "/dev/sda1"),),
    *("debian", "12", "ifupdown", "i", ""),
    shared=True,
    areas=(AREA,),
    fill=START,
)
EDITS = (Write("/etc/hostname", b"new\n"),)


class FakeWriter(Writer):
    """Notes what it is to write; ``problems`` are its answers by guest."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__()
        self.written: dict[str, Sequence[DiskPatches]] = {}
        self._problems = problems

    def write(self, guests: Mapping[str, Sequence[DiskPatches]]) -> dict[str, str]:
        self.written.update(guests)
        return {key: self._problems.get(key, "") for key in guests}


@pytest.fixture
def base(tmp_path: Path) -> list[Drive]:
    """Two disks of a base; the area lies on the second one."""
    drives = [Drive(str(tmp_path / name), "qcow2") for name in ("root", "var")]
    Path(drives[0].path).write_bytes(bytes(1024))
    Path(drives[1].path).write_bytes(bytes(512) + fill(START, AREA) + bytes(1536))
    return drives


def guest(name: str, edits: tuple[object, ...] = EDITS) -> Guest:
    return Guest(name, (Drive(f"{name}.root", "qcow2"), Drive(f"{name}.var", "qcow2")), edits)


def test_the_disk_that_has_the_area_is_written_to(base: list[Drive]) -> None:
    writer = FakeWriter({})
    assert write_areas([guest("a")], FACTS, base, writer) == {"a": None}
    (write,) = writer.written["a"]
    assert write.drive == Drive("a.var", "qcow2")
    assert [(patch.offset, patch.content) for patch in write.patches] == [
        (5120, bytes(4) + b"\4" + bytes(123)),
        (4096, b"new\n".ljust(128, b"\0")),
    ]


def test_who_does_not_fit_and_who_fails_is_left_for_an_appliance(
    base: list[Drive], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    writer = FakeWriter({"b": "write failed: No space left on device"})
    more = guest("c", (*EDITS, SetPassword("root", "$6$secret", 1)))
    assert write_areas([guest("a"), guest("b"), more], FACTS, base, writer) == {"a": None}
    assert list(writer.written) == ["a", "b"]
    assert "key=b: write failed: No space left on device" in caplog.text
    assert "key=c: not all of it has an area" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("change", ["other bytes", "cut off", "gone", "other disks"])
def test_a_base_that_is_not_as_made(base: list[Drive], change: str) -> None:
    assert is_untouched(base, FACTS)
    path = Path(base[1].path)
    if change == "other bytes":
        path.write_bytes(path.read_bytes().replace(b"\n", b" "))
    elif change == "cut off":
        path.write_bytes(path.read_bytes()[:600])
    elif change == "gone":
        path.unlink()
    else:
        base.pop()
    writer = FakeWriter({})
    assert write_areas([guest("a")], FACTS, base, writer) == {}
    assert writer.written == {}


def test_without_areas_nothing_is_written(base: list[Drive]) -> None:
    writer = FakeWriter({})
    assert write_areas([guest("a")], replace(FACTS, areas=()), base, writer) == {}
    assert writer.written == {}


def test_without_qemu_io_all_are_left_for_an_appliance(
    base: list[Drive], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("subprocess.Popen", refuse)
    with Writer() as writer:
        assert write_areas([guest("a")], FACTS, base, writer) == {}
    assert "guest needs an appliance: key=a: qemu-io can't be used" in caplog.text


def refuse(*_arguments: object, **_options: object) -> None:
    raise FileNotFoundError(2, "No such file or directory: 'qemu-io'")
