# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image's UEFI variables are, and what can be copied."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from maglica.disk import nvram
from maglica.model.errors import HostDown, ImageUnsupported, NoRoom, StorageFailed
from support.domains import domain
from support.fake_libvirt import VIR_FROM_RPC, Connection, libvirtError
from support.qcow2 import header

EFI = domain("<disk/>", outside="<os firmware='efi'><type arch='x86_64'>hvm</type></os>")
STORAGE, FORMAT = "libvirt-pflash1-storage", "libvirt-pflash1-format"

pytestmark = pytest.mark.usefixtures("own_libvirt")


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    made = Connection()
    made.nvram = tmp_path
    return made


def test_libvirt_tells_the_place(connection: Connection, tmp_path: Path) -> None:
    assert nvram.hidden_path(EFI, connection) == f"{tmp_path}/small.original_VARS.fd"


def test_it_is_not_asked_without_need(connection: Connection) -> None:
    assert nvram.hidden_path(domain(), connection) is None
    assert connection.calls == []


def test_devices_are_not_told(connection: Connection) -> None:
    given = []
    connection.domainXMLToNative = lambda kind, xml: given.append(xml) or "qemu"
    assert nvram.hidden_path(EFI, connection) is None
    assert "<disk" not in given[0]


@pytest.mark.parametrize(
    "command",
    [
        f"qemu -blockdev '{json.dumps({'node-name': STORAGE, 'driver': 'nbd', 'path': '/s'})}'",
        f"qemu -machine pflash1={FORMAT}",
        "qemu -drive file=/n/a.fd,if=pflash,format=raw,unit=1",
    ],
)
def test_an_answer_that_is_not_understood(connection: Connection, command: str) -> None:
    connection.domainXMLToNative = lambda kind, xml: command
    with pytest.raises(ImageUnsupported, match="not in a file that libvirt tells"):
        nvram.hidden_path(EFI, connection)


@pytest.mark.parametrize(("domain", "kind"), [(0, ImageUnsupported), (VIR_FROM_RPC, HostDown)])
def test_libvirt_does_not_tell(connection: Connection, domain: int, kind: type[Exception]) -> None:
    connection.failures["domainXMLToNative"] = [libvirtError("no firmware", domain=domain)]
    with pytest.raises(kind, match="where its UEFI variables are: no firmware"):
        nvram.hidden_path(EFI, connection)


def test_a_copy_is_readable_by_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"variables")
    nvram.copy(f"{tmp_path}/old", f"{tmp_path}/new")
    assert (tmp_path / "new").read_bytes() == b"variables"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_what_is_no_file_is_not_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageUnsupported, match="are no file"):
        nvram.copy(f"{tmp_path}/pipe", f"{tmp_path}/new")
    assert not (tmp_path / "new").exists()


def test_an_overlay_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(header(backing=b"template.fd"))
    with pytest.raises(ImageUnsupported, match="build upon another file"):
        nvram.copy(f"{tmp_path}/old", f"{tmp_path}/new")


def test_a_file_that_is_there_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"variables")
    (tmp_path / "new").write_bytes(b"theirs")
    with pytest.raises(StorageFailed, match="File exists"):
        nvram.copy(f"{tmp_path}/old", f"{tmp_path}/new")
    assert (tmp_path / "new").read_bytes() == b"theirs"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_files: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "old").write_bytes(b"variables")
    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(NoRoom, match="No space left"):
        nvram.copy(f"{tmp_path}/old", f"{tmp_path}/new")
