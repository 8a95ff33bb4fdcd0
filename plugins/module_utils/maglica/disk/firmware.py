# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which firmware a disk's boot loader wants, by the first sectors of the disk.

Distributions' cloud images mostly start by both: they have GRUB for BIOS in the master boot record
with a BIOS boot partition, and an EFI system partition. Such a disk starts by BIOS, QEMU's default,
which needs nothing of the host, has no variables to keep beside the disk, and whose clones need no
file of their own for them. A disk for UEFI alone starts by UEFI. Pure.
"""

from __future__ import annotations

from ..model.errors import ImageUnsupported
from ..model.image import Firmware
from .partitions import BIOS_BOOT, EFI_SYSTEM, PROTECTIVE, gpt_entries, has_mbr, mbr_entries

_BOOT_CODE = slice(0, 440)
# The attribute of a partition that boot code for BIOS shall start ("legacy BIOS bootable").
_LEGACY_BOOT = 1 << 2


def wanted(head: bytes) -> Firmware:
    """Return the firmware by which a disk starts whose first bytes, partitions.HEAD, are ``head``.

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
    if not has_mbr(head):
        return False, False
    has_code = any(head[_BOOT_CODE])
    entries = list(mbr_entries(head))
    if all(each.kind != PROTECTIVE for each in entries):
        # Without a partition the sector is that of a file system, whose boot code it has.
        return has_code, any(each.holds == EFI_SYSTEM for each in entries)
    partitions = list(gpt_entries(head))
    is_for_bios = any(each.holds == BIOS_BOOT or each.flags & _LEGACY_BOOT for each in partitions)
    return has_code and is_for_bios, any(each.holds == EFI_SYSTEM for each in partitions)
