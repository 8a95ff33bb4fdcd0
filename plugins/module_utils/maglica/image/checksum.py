# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image's file must be: a digest, or the file of sums on the web that has it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Union

from ..model import urls
from ..model.errors import NameInvalid

# Those that nobody can forge, the strongest last, and the digits of each.
ALGORITHMS = {"sha256": 64, "sha512": 128}
_HEX = re.compile("[0-9a-fA-F]+")


@dataclass(frozen=True)
class Checksum:
    """A digest in lower-case hexadecimal, by one of ALGORITHMS; as text ``sha256:…``."""

    algorithm: str
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


@dataclass(frozen=True)
class SumsFile:
    """The address of a file of sums; of several for one image, that by ``algorithm`` counts."""

    url: str
    algorithm: str | None = None

    def __str__(self) -> str:
        return self.url if self.algorithm is None else f"{self.algorithm}:{self.url}"


Expected = Union[Checksum, SumsFile]


def shown(expected: Expected) -> str:
    """Return what is expected as anybody may see it."""
    if isinstance(expected, Checksum):
        return str(expected)
    return str(replace(expected, url=urls.shown(expected.url)))


def parse(text: str) -> Expected:
    """Read ``sha256:HEX``, ``sha512:HEX``, an address, or one behind ``sha256:`` or ``sha512:``.

    Raises NameInvalid.
    """
    name, _colon, rest = text.partition(":")
    if name in ("http", "https"):
        return SumsFile(urls.web_address(text))
    algorithm = name.lower()
    if algorithm not in ALGORITHMS:
        raise NameInvalid(
            f"{text[:60]!r} is not a checksum: give sha256: or sha512: and the digits, or the web"
            " address of a file that lists it"
        )
    if rest.startswith(("http:", "https:")):
        return SumsFile(urls.web_address(rest), algorithm)
    if not _HEX.fullmatch(rest) or len(rest) != ALGORITHMS[algorithm]:
        digits = ALGORITHMS[algorithm]
        raise NameInvalid(
            f"{text[:60]!r} is not a {algorithm} checksum: {digits} hexadecimal digits"
        )
    return Checksum(algorithm, rest.lower())
