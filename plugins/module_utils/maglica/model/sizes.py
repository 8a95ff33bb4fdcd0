# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as users write and read them. Pure.

Units are those of IEC 80000-13, powers of 1024: GB would be a thousand million bytes to some and
2^30 to others, so that it is none here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Union

from .errors import NameInvalid

_MIB = 1 << 20
_UNITS = {"MiB": 1, "GiB": 1 << 10, "TiB": 1 << 20}
_AMBIGUOUS = frozenset({"M", "G", "T", "MB", "GB", "TB"})
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(?: ?([A-Za-z]{1,8}))?")


def mib(value: Union[str, int], what: str) -> int:
    """Return the MiB that a size says: a number of them, or one with a unit, such as 20GiB.

    ``what`` names it in the error, NameInvalid.
    """
    match = _SIZE.fullmatch(str(value))
    unit = match[2] or "MiB" if match else ""
    if match and unit in _AMBIGUOUS:
        other = f"{unit[0]}iB"
        raise NameInvalid(
            f"{what}: {value} says {unit}, which is a power of 1000 to some and of 1024 to others:"
            f" write {match[1]}{other} for a power of 1024"
        )
    if match is None or unit not in _UNITS:
        raise NameInvalid(
            f"{what}: {str(value)[:40]!r} is not a size: a number of MiB, or one with the unit MiB,"
            " GiB or TiB, such as 20GiB"
        )
    size = Decimal(match[1]) * _UNITS[unit]
    if size != int(size):
        raise NameInvalid(f"{what}: {value} is not a whole number of MiB")
    return int(size)


def too_small(wanted: int, there: int) -> str:
    """Return why an image's disk of ``there`` bytes can't be one of ``wanted`` bytes."""
    return (
        f"the first disk of the image has {shown(there)}, and can't be made smaller, to"
        f" {shown(wanted)}: disk_size must be at least {-(-there // _MIB)} MiB"
    )


def shown(size: int) -> str:
    """Return a size of so many bytes, exactly, in the largest unit that has it whole."""
    for unit, of_mib in reversed(_UNITS.items()):
        if size and size % (of_mib << 20) == 0:
            return f"{size // (of_mib << 20)} {unit}"
    return f"{size} bytes"


def about(size: int) -> str:
    """Return a size of so many bytes, rounded, for somebody who watches it grow."""
    unit = next((unit for unit in ("TiB", "GiB") if size >= _UNITS[unit] << 20), "MiB")
    amount = size / (_UNITS[unit] << 20)
    return f"{amount:.1f} {unit}" if amount < 100 else f"{amount:.0f} {unit}"
