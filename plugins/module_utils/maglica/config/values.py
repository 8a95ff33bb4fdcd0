# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of values in maglica.conf: each takes an option's text and the folder of the file, and
returns the value or raises ValueError or NameInvalid with what is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from ..image import checksum as checksums
from ..model import names, urls
from ..model.image import Firmware
from ..model.text import can_be_shown

Reader = Callable[[str, Path], Any]

# The alphabet of ZeroMQ's RFC 32 (Z85); 40 of its characters are a CURVE key of 32 bytes.
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_KEY_LENGTH = 40
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]*")
# Without brackets an IPv6 address has more than one colon, and so no port.
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<inside>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?"
)
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


def is_loopback(address: str) -> bool:
    """Tell whether nothing outside this machine can reach ``address``."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def word(value: str, _folder: Path) -> str:
    return names.object_name(value)


def address(value: str, _folder: Path) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return names.host_name(value)


def host_and_port(value: str, folder: Path) -> tuple[str, int | None]:
    """Return the host and the port, if one is said, of HOST, HOST:PORT or [ADDRESS]:PORT."""
    found = _HOST_AND_PORT.fullmatch(value)
    if found is None:
        return address(value, folder), None
    port = None if found["port"] is None else whole(1, 65535)(found["port"], folder)
    if found["inside"] is None:
        return address(found["host"], folder), port
    return str(ipaddress.IPv6Address(found["inside"])), port


def bind(value: str, _folder: Path) -> str:
    return str(ipaddress.ip_address(value))


def path(value: str, folder: Path) -> Path:
    if not value or not value.isprintable():
        raise ValueError("no path")
    return folder / value


def uri(value: str, _folder: Path) -> str:
    if not _URI.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a libvirt URI, such as qemu+ssh://kvm0.example.jp/system"
        )
    return value


def default_uri(host: str) -> str:
    """Return the URI of the host ``host`` where none is written down: what is safe by default."""
    return f"qemu+ssh://{f'[{host}]' if ':' in host else host}/system"


def key(value: str, _folder: Path) -> str:
    if len(value) != _KEY_LENGTH or not set(value) <= set(_Z85):
        raise ValueError(f"not a key of {_KEY_LENGTH} Z85 characters")
    # Five characters are a number in base 85 that must fit in four bytes.
    for first in range(0, _KEY_LENGTH, 5):
        number = 0
        for char in value[first : first + 5]:
            number = number * len(_Z85) + _Z85.index(char)
        if number >= 1 << 32:
            raise ValueError(f"not a key: {value[first : first + 5]!r} is not Z85")
    return value


def one_or_two_keys(value: str, folder: Path) -> str:
    found = value.split(" ")
    if len(found) > 2:
        raise ValueError("more than two keys")
    return " ".join(key(each, folder) for each in found)


def boolean(value: str, _folder: Path) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ValueError(f"{value!r} is neither yes nor no")
    return _BOOLEANS[value.lower()]


def whole(low: int, high: int) -> Reader:
    def read(value: str, _folder: Path) -> int:
        if not re.fullmatch("[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return int(value)

    return read


def positive(value: str, _folder: Path) -> float:
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,6})?", value) or not float(value):
        raise ValueError(f"{value!r} is not a number above 0")
    return float(value)


def one_of(known: Sequence[str]) -> Reader:
    def read(value: str, _folder: Path) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is none of {', '.join(known)}")
        return value

    return read


def firmware(value: str, folder: Path) -> Firmware:
    return Firmware(one_of([each.value for each in Firmware])(value, folder))


def line(value: str, _folder: Path) -> str:
    if not can_be_shown(value):
        raise ValueError("has a control character")
    return value


def web_address(value: str, _folder: Path) -> str:
    return urls.web_address(value)


def checksum(value: str, _folder: Path) -> checksums.Expected:
    return checksums.parse(value)


def pattern(value: str, _folder: Path) -> re.Pattern[str] | None:
    try:
        return re.compile(value) if value else None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


def words(value: str, _folder: Path) -> tuple[str, ...]:
    return tuple(names.object_name(word) for word in re.split(r"[\s,]+", value) if word)
