# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from maglica.disk.firmware import check, wanted
from maglica.disk.partitions import HEAD
from maglica.model.errors import ImageUnsupported
from maglica.model.image import Firmware

EFI = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
LEGACY = 4


def mbr(kinds: Sequence[int], code: bool = True) -> bytes:
    """Return the first sectors of a disk with an entry of the master boot record for each kind."""
    head = bytearray(HEAD)
    head[0:2] = b"\xeb\x63" if code else b"\0\0"
    for index, kind in enumerate(kinds):
        struct.pack_into("<B3xB3xII", head, 446 + 16 * index, 0x80, kind, 2048, 2048)
    head[510:512] = b"\x55\xaa"
    return bytes(head)


def gpt(
    partitions: Sequence[tuple[str, int]], code: bool = True, at: int = 2, size: int = 128
) -> bytes:
    """Return the first sectors of a disk with GPT, by type and attributes of its partitions."""
    head = bytearray(mbr([0xEE], code))
    struct.pack_into("<8s64xQII", head, 512, b"EFI PART", at, 128, size)
    for index, (kind, flags) in enumerate(partitions):
        entry = struct.pack("<16s32xQ", uuid.UUID(kind).bytes_le, flags)
        struct.pack_into("<56s", head, at * 512 + index * size, entry)
    return bytes(head)


@pytest.mark.parametrize(
    ("head", "firmware"),
    [
        # As Debian, Ubuntu, Rocky, Fedora, openSUSE and Arch lay out their cloud images.
        (gpt([(LINUX, 0), (BIOS_BOOT, 0), (EFI, 0)]), Firmware.BIOS),
        # GPT that extlinux starts.
        (gpt([(LINUX, LEGACY)]), Firmware.BIOS),
        (gpt([(EFI, 0), (LINUX, 0)]), Firmware.UEFI),
        (gpt([(EFI, 0), (LINUX, 0)], code=False), Firmware.UEFI),
        # Room for GRUB, and none there.
        (gpt([(BIOS_BOOT, 0), (EFI, 0)], code=False), Firmware.UEFI),
        (gpt([(LINUX, 0)] * 5 + [(EFI, 0)], size=256, at=3), Firmware.UEFI),
        (mbr([0x83]), Firmware.BIOS),
        (mbr([0x83, 0xEF]), Firmware.BIOS),
        (mbr([0xEF, 0x83], code=False), Firmware.UEFI),
        # A file system without partitions, with boot code in its first sector.
        (mbr([]), Firmware.BIOS),
    ],
)
def test_by_which_firmware_a_disk_starts(head: bytes, firmware: Firmware) -> None:
    assert wanted(head) is firmware
    check(head, firmware)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        bytes(HEAD),
        b"\xff" * 100,
        mbr([0x83], code=False),
        gpt([(LINUX, 0)]),
        mbr([0xEE]),
        gpt([(EFI, 0)], size=100),
        gpt([(EFI, 0)])[:600],
        # Entries that lie where nobody reads, as many as nobody has.
        mbr([0xEE])[:512] + struct.pack("<8s64xQII", b"EFI PART", 1 << 63, 0xFFFFFFFF, 128),
    ],
)
def test_a_disk_without_a_boot_loader(head: bytes) -> None:
    with pytest.raises(ImageUnsupported, match="no boot loader"):
        wanted(head)
    for firmware in Firmware:
        check(head, firmware)


@pytest.mark.parametrize(
    ("script", "firmware"),
    [
        (f"label: gpt\n,1M,{BIOS_BOOT}\n,2M,U\n,,L\n", Firmware.BIOS),
        ("label: gpt\n,2M,U\n,,L\n", Firmware.UEFI),
        ("label: gpt\ntype=L, attrs=LegacyBIOSBootable\n", Firmware.BIOS),
        ("label: dos\n,,L,*\n", Firmware.BIOS),
    ],
)
def test_disks_of_sfdisk(tmp_path: Path, script: str, firmware: Firmware) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.write(b"\xeb\x63")
        file.truncate(16 << 20)
    sfdisk = ["sfdisk", "--quiet", "--wipe=never", str(disk)]
    subprocess.run(sfdisk, input=script, text=True, check=True)
    with disk.open("rb") as file:
        assert wanted(file.read(HEAD)) is firmware


def test_a_disk_that_starts_by_the_other_firmware_only() -> None:
    check(gpt([(BIOS_BOOT, 0), (EFI, 0)]), Firmware.UEFI)
    with pytest.raises(ImageUnsupported, match="no EFI system partition"):
        check(mbr([0x83]), Firmware.UEFI)
    with pytest.raises(ImageUnsupported, match="by UEFI only"):
        check(gpt([(EFI, 0)]), Firmware.BIOS)
