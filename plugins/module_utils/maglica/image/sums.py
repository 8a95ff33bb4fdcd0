# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of sums, as sha256sum and others write them; strangers write them, too.

The forms are those of GNU coreutils ("cksum invocation"): ``HEX  NAME``, with ``*`` for a binary
file, ``SHA256 (NAME) = HEX`` (BSD's; OpenSSL's has other blanks), both with a backslash before a
line whose name has escapes; one sum alone; and all of it inside a clear signature (RFC 9580,
section 7). The signature is left out and not verified: whoever can change this file at its address
can change the image, too, so that https is what protects both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..model.errors import ChecksumUnknown
from ..model.text import one_line, short, some
from .checksum import ALGORITHMS, Checksum

# A distribution's file for a whole folder of images has some 20 KiB.
MAX_BYTES = 1 << 20
# A path has at most 4096 bytes, and each may be escaped.
_MAX_LINE = 9000
_BY_DIGITS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_GNU = re.compile(r"(\\?)([0-9A-Fa-f]{32,128})(?: [ *]|[ \t]+)(.+)")
_BSD = re.compile(r"(\\?)([A-Za-z0-9-]{3,12}) ?\((.+)\) ?= ?([0-9A-Fa-f]{32,128})")
_ALONE = re.compile(r"[0-9A-Fa-f]{32,128}")
_ESCAPE = re.compile(r"\\(.?)")
_ESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}
_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"


@dataclass(frozen=True)
class Sum:
    """One entry; ``name`` is None for a sum alone. ``algorithm`` may be one that is not used."""

    algorithm: str
    digest: str
    name: str | None


def find(data: bytes, name: str, where: str, algorithm: str | None = None) -> Checksum:
    """Return the sum that the content of a file of sums has for the image's file ``name``.

    A sum alone, or the only one in the file, belongs to it however it is called: some name the
    build. Of several the strongest counts, or that by ``algorithm``. ``where`` is the file's
    address, for errors. Raises ChecksumUnknown.
    """
    if len(data) > MAX_BYTES:
        raise ChecksumUnknown(f"{where} is not a file of checksums: larger than {MAX_BYTES} bytes")
    listed = parse(data.decode("utf-8-sig", "replace"))
    if not listed:
        raise ChecksumUnknown(f"{where} is not a file of checksums: there is none in it")
    of_it = _of(name, listed)
    wanted = [algorithm] if algorithm else list(reversed(ALGORITHMS))
    for each in wanted:
        digests = {entry.digest for entry in of_it if entry.algorithm == each}
        if len(digests) > 1:
            raise ChecksumUnknown(f"{where} has {len(digests)} different {each} sums of {name}")
        if digests:
            return Checksum(each, digests.pop())
    raise ChecksumUnknown(
        f"{where} has no {' or '.join(wanted)} sum of {name}: {_has(of_it, listed)}"
    )


def parse(text: str) -> list[Sum]:
    """Return the entries of a file of sums; all that is none is left out."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    found = (_entry(line.rstrip(" \t")) for line in _body(list(lines)) if len(line) <= _MAX_LINE)
    return [entry for entry in found if entry is not None]


def _body(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines that a clear signature is of; of a file that has none, all."""
    if _SIGNED not in lines:
        yield from lines
        return
    # Before a frame, between frames and in a signature's own lines nothing is signed.
    inside = is_header = False
    for line in lines:
        if line == _SIGNED:
            inside, is_header = True, True
        elif line == _SIGNATURE:
            inside = False
        elif inside and is_header:
            is_header = bool(line.strip())
        elif inside:
            yield line[2:] if line.startswith("- ") else line


def _entry(line: str) -> Sum | None:
    if _ALONE.fullmatch(line):
        return _sum(line, None)
    if match := _GNU.fullmatch(line):
        escaped, digest, name = match.groups()
        return _sum(digest, _unescaped(name) if escaped else name)
    if match := _BSD.fullmatch(line):
        escaped, said, name, digest = match.groups()
        entry = _sum(digest, _unescaped(name) if escaped else name)
        # OpenSSL writes SHA2-256, others SHA-256.
        plain = said.lower().replace("sha2-", "sha").replace("-", "")
        return entry if entry and entry.algorithm == plain else None
    return None


def _sum(digest: str, name: str | None) -> Sum | None:
    algorithm = _BY_DIGITS.get(len(digest))
    return Sum(algorithm, digest.lower(), name) if algorithm else None


def _unescaped(name: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), name)


def _of(name: str, listed: Sequence[Sum]) -> list[Sum]:
    """Return the entries for a file: of its name, else of its name in a folder, else the only."""
    exact = [entry for entry in listed if entry.name == name]
    in_folder = [entry for entry in listed if entry.name and entry.name.endswith(f"/{name}")]
    if exact or in_folder:
        return exact or in_folder
    return list(listed) if len({entry.name for entry in listed}) == 1 else []


def _has(of_it: Sequence[Sum], listed: Sequence[Sum]) -> str:
    if of_it:
        return f"it has {some(sorted({entry.algorithm for entry in of_it}))}"
    names = sorted({one_line(short(entry.name)) for entry in listed if entry.name})
    return f"it has sums of {some(names)}" if names else "it does not say of what its sums are"
