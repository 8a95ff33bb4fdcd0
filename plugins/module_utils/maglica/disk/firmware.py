# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which firmware a disk's boot loader wants, by the first sectors of the disk.

Distributions' cloud images mostly start by both: they have GRUB for BIOS in the master boot record
with a BIOS boot partition, and an EFI system partition. Such a disk starts by BIOS, QEMU's default,
which needs nothing of the host, has no variables to keep beside the disk, and whose clones need no
file of their own for them. A disk for UEFI alone starts by UEFI. Pure.

GPT is that of UEFI's specification (chapter 5). A stranger may have made the disk, so that nothing
is read but from the bytes that are given.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from ..model.errors import ImageUnsupported
from ..model.image import Firmware

SECTOR = 512
# What must be given: the master boot record, GPT's header, and the entries that it has as a rule.
HEAD = 34 * SECTOR

_BOOT_CODE = slice(0, 440)
_MARK_AT, _MARK = 510, b"\x55\xaa"
_MBR_ENTRIES, _MBR_ENTRY = 446, struct.Struct("<B3xB3xII")
_PROTECTIVE, _MBR_EFI = 0xEE, 0xEF
_SIGNATURE = b"EFI PART"
# In GPT's header: where the entries are, their number, the size of one.
_OF_ENTRIES = struct.Struct("<72xQII")
_ENTRY = struct.Struct("<16s32xQ")
_SIZES = range(128, 4097, 128)
_EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le
_BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649").bytes_le
# The attribute of a partition that boot code for BIOS shall start ("legacy BIOS bootable").
_LEGACY_BOOT = 1 << 2


def wanted(head: bytes) -> Firmware:
    """Return the firmware by which a disk starts whose first HEAD bytes are ``head``.

    Raises ImageUnsupported for one that shows no boot loader of either kind.
    """
    by_bios, by_uefi = _starts_by(head)
    if by_bios:
        return Firmware.BIOS
    if by_uefi:
        return Firmware.UEFI
    raise ImageUnsupported(
        "its disk shows no boot loader, neither for BIOS nor for UEFI: it has no boot code, and no"
        " EFI system partition; say which firmware it starts by (firmware) if it has one"
    )


def check(head: bytes, firmware: Firmware) -> None:
    """Raise ImageUnsupported if a disk shows that it starts by the other firmware only."""
    by_bios, by_uefi = _starts_by(head)
    if firmware is Firmware.UEFI and by_bios and not by_uefi:
        raise ImageUnsupported("its disk has no EFI system partition, so that UEFI can't start it")
    if firmware is Firmware.BIOS and by_uefi and not by_bios:
        raise ImageUnsupported("its disk has no boot code for BIOS, it starts by UEFI only")


def _starts_by(head: bytes) -> tuple[bool, bool]:
    """Say whether the disk has what BIOS starts, and what UEFI starts."""
    if len(head) < SECTOR or head[_MARK_AT : _MARK_AT + 2] != _MARK:
        return False, False
    has_code = any(head[_BOOT_CODE])
    kinds = {kind for kind, count in _mbr_entries(head) if count}
    if _PROTECTIVE not in kinds:
        # Without a partition the sector is that of a file system, whose boot code it has.
        return has_code, _MBR_EFI in kinds
    partitions = list(_gpt_entries(head))
    is_for_bios = any(kind == _BIOS_BOOT or flags & _LEGACY_BOOT for kind, flags in partitions)
    return has_code and is_for_bios, any(kind == _EFI_SYSTEM for kind, _flags in partitions)


def _mbr_entries(head: bytes) -> Iterator[tuple[int, int]]:
    """Yield the type and the sectors of each entry of the master boot record."""
    for index in range(4):
        at = _MBR_ENTRIES + index * _MBR_ENTRY.size
        _status, kind, _first, count = _MBR_ENTRY.unpack_from(head, at)
        yield kind, count


def _gpt_entries(head: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield type and attributes of the partitions that GPT has, as far as they are in ``head``."""
    header = head[SECTOR : 2 * SECTOR]
    if len(header) < _OF_ENTRIES.size or not header.startswith(_SIGNATURE):
        return
    first, count, size = _OF_ENTRIES.unpack_from(header)
    if size not in _SIZES:
        return
    for index in range(min(count, len(head) // size)):
        entry = head[first * SECTOR + index * size :][: _ENTRY.size]
        if len(entry) < _ENTRY.size:
            return
        kind, flags = _ENTRY.unpack(entry)
        if any(kind):
            yield kind, flags
