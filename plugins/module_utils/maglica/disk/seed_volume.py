# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The medium that a clone's cloud-init reads: a small ISO 9660 image, labelled as NoCloud wants it.

The same files give the same bytes, whenever and wherever they are put together.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Mapping
from typing import BinaryIO

from .._deps import need

LABEL = "cidata"
# That of the medium by which OpenStack and others tell a vm the same.
CONFIG_DRIVE = "config-2"
# A plain file that only root reads.
_MODE = 0o100400
_SECTOR = 2048
# ECMA-119, 8: descriptors begin in sector 16, with the primary one; what is where in them.
_DESCRIPTORS = 16 * _SECTOR
_TERMINATOR = 255
_NAME = slice(40, 72)
_ROOT = 156
# Of FAT12 and FAT16, and of FAT32: where what it is stands in the first sector, and its label.
_FAT = ((slice(54, 62), slice(43, 54)), (slice(82, 90), slice(71, 82)))
_BOOT_SECTOR = 512
# An entry of its directories, and what tells the one that has the file system's label.
_ENTRY, _KIND, _GONE = 32, 11, 0xE5
_IS_LABEL, _IS_DIRECTORY, _IS_LONG_NAME = 0x08, 0x10, 0x0F
# As much of its first directory is looked at: the label is the first entry, as a rule.
_MAX_ROOT = 64 << 10
_DATES = slice(813, 881)
_NO_DATE = b"0" * 16 + b"\0"
# 9.1.5, and IEEE P1282's TF: years since 1900, month, day, hour, minute, second, offset from GMT.
_A_DAY = bytes((100, 1, 1, 0, 0, 0, 0))


def image(files: Mapping[str, bytes]) -> bytes:
    """Return the image with these files, in memory, for they hold secrets.

    Their names are there for Linux (Rock Ridge) and for others (Joliet). Raises DependencyMissing.
    """
    iso = need("pycdlib").PyCdlib()
    iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    for name, content in sorted(files.items()):
        plain = f"/{name.upper().replace('-', '_')}.;1"
        source = io.BytesIO(content)
        places = {"iso_path": plain, "rr_name": name, "joliet_path": f"/{name}"}
        iso.add_fp(source, len(content), **places, file_mode=_MODE)
    made = io.BytesIO()
    iso.write_fp(made)
    iso.close()
    data = bytearray(made.getvalue())
    _forget_when(data)
    return bytes(data)


def _forget_when(data: bytearray) -> None:
    """Take the time of now, in this host's own zone, out of an image; pycdlib writes no other."""
    start = _DESCRIPTORS
    while data[start] != _TERMINATOR:
        data[start + _DATES.start : start + _DATES.stop] = _NO_DATE * 4
        root = start + _ROOT
        _forget_record(data, root)
        extent, size = (int.from_bytes(data[root + at : root + at + 4], "little") for at in (2, 10))
        record = extent * _SECTOR
        while data[record] and record < extent * _SECTOR + size:
            _forget_record(data, record)
            record += data[record]
        start += _SECTOR


def _forget_record(data: bytearray, start: int) -> None:
    """Do it in a directory record, with its Rock Ridge entries."""
    data[start + 18 : start + 25] = _A_DAY
    length, name = data[start], data[start + 32]
    entry = start + 33 + name + (name + 1) % 2
    while entry + 4 <= start + length and data[entry + 2] >= 4:
        size = data[entry + 2]
        if data[entry : entry + 2] == b"TF":
            data[entry + 5 : entry + size] = _A_DAY * ((size - 5) // len(_A_DAY))
        entry += size


def is_seed(path: str, *others: str) -> bool:
    """Tell whether a file, or a block device, is an image that cloud-init would read as NoCloud's.

    It has that label on ISO 9660 or FAT, or one of ``others``. What is something else, or can't be
    read, is none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                return False
            found = _fat_labels(file)
            file.seek(_DESCRIPTORS)
            data = file.read(_NAME.stop)
    except OSError:
        return False
    found += [data[_NAME]] if data[:6] == b"\x01CD001" else []
    labels = {each.decode("ascii", "replace").strip(" \0").lower() for each in found}
    return not labels.isdisjoint((LABEL, *others))


def _fat_labels(file: BinaryIO) -> list[bytes]:
    """Return the labels of a FAT: that of its first sector, and that of its first directory, which
    is the one that counts where both are there (libblkid, vfat.c).
    """
    first = file.read(_BOOT_SECTOR)
    found = [first[label] for kind, label in _FAT if first[kind].startswith(b"FAT")]
    if not found or len(first) < _BOOT_SECTOR:
        return found
    # FAT: General Overview of On-Disk Format, 1.03: the tables are behind the reserved sectors,
    # then comes the first directory, in FAT32 a cluster like any other.
    sector, cluster, reserved, tables, entries = struct.unpack_from("<HBHBH", first, 11)
    length, *_others = struct.unpack_from("<H", first, 22)
    if not length:
        length, *_others = struct.unpack_from("<I", first, 36)
    start, size = (reserved + tables * length) * sector, entries * _ENTRY
    if not entries:
        number, *_others = struct.unpack_from("<I", first, 44)
        start, size = start + (number - 2) * cluster * sector, cluster * sector
    file.seek(max(start, 0))
    data = file.read(min(size, _MAX_ROOT))
    for at in range(0, len(data) - _ENTRY + 1, _ENTRY):
        kind = data[at + _KIND] & 0x3F
        if data[at] == 0:
            break
        is_label = kind & (_IS_LABEL | _IS_DIRECTORY) == _IS_LABEL and kind != _IS_LONG_NAME
        if is_label and data[at] != _GONE:
            found.append(data[at : at + _KIND])
            break
    return found
