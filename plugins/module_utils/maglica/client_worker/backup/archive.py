# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that a backup of the client worker is: a compressed tar archive of what makes it.

Its first member, ``manifest.json``, names all others with their checksums (SHA-256). It has
secrets: the client worker's key, the certificate authority's, and those of open requests.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ...model.errors import ConfigInvalid

FORMAT = 1
MANIFEST = "manifest.json"
JOURNAL = "journal.sqlite"
_MAX_MANIFEST = 1 << 20
# Any name: somebody's editor may have left a file beside the others.
_PART = r"[^./\0][^/\0]*"
_NAMES = re.compile(
    r"journal\.sqlite|client_worker\.(key|pub|conf)|access"
    rf"|access\.d/{_PART}|ca/{_PART}(/{_PART}){{0,7}}"
)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. ``newest`` is when a request has changed last (0: none has).

    ``files`` has the checksum of each file by its name.
    """

    made: str
    machine: str
    address: str
    requests: int
    open: int
    newest: float
    files: dict[str, str]


def write(target: Path, files: Iterable[tuple[str, Path]], **facts: Any) -> Manifest:
    """Write a backup of these files, by the names that they have in it. Raises OSError.

    It is there whole, with mode 0600 and on the disk, or not at all.
    """
    files = list(files)
    sums = {name: _sum(path) for name, path in files}
    manifest = Manifest(**facts, files=sums)
    draft = target.with_name(f"{target.name}.part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write(file, files, {"format": FORMAT, **asdict(manifest)})
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return manifest


def _write(file: IO[bytes], files: Iterable[tuple[str, Path]], manifest: dict[str, Any]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        tar.addfile(_member(MANIFEST, len(text), 0o600), io.BytesIO(text))
        for name, path in files:
            with path.open("rb") as source:
                status = os.fstat(source.fileno())
                tar.addfile(_member(name, status.st_size, status.st_mode & 0o777), source)


def _member(name: str, size: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode
    return member


def extract(source: Path, folder: Path) -> Manifest:
    """Write what is in a backup to an empty folder, each file for its owner only, and return what
    the backup says of itself. Raises ConfigInvalid if it is none, or damaged.
    """
    try:
        with tarfile.open(source, "r:gz") as tar:
            return _extract(tar, folder)
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise ConfigInvalid(
            f"{source} is no backup of a client worker, or damaged: {error}"
        ) from error


def _extract(tar: tarfile.TarFile, folder: Path) -> Manifest:
    manifest: Manifest | None = None
    found = set()
    for member in tar:
        file = tar.extractfile(member) if member.isreg() else None
        if file is None:
            raise ValueError(f"{member.name[:100]!r} is no file")
        if manifest is None:
            if member.name != MANIFEST or member.size > _MAX_MANIFEST:
                raise ValueError(f"its first file is not {MANIFEST}")
            manifest = _manifest(json.loads(file.read()))
            continue
        name = member.name
        if name not in manifest.files or name in found:
            raise ValueError(f"{name[:100]!r} is not in its {MANIFEST}")
        found.add(name)
        if _copied(file, folder / name, member.mode) != manifest.files[name]:
            raise ValueError(f"{name} has another checksum than it had")
    if manifest is None:
        raise ValueError("it is empty")
    missing = set(manifest.files) - found
    if missing:
        raise ValueError(f"{min(missing)} is missing")
    return manifest


def _manifest(value: Any) -> Manifest:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"its {MANIFEST} has not format {FORMAT}")
    try:
        manifest = Manifest(**{name: each for name, each in value.items() if name != "format"})
    except TypeError as error:
        raise ValueError(f"its {MANIFEST} has other fields than it should") from error
    for name in manifest.files:
        if not _NAMES.fullmatch(name):
            raise ValueError(f"{name[:100]!r} does not belong there")
    if JOURNAL not in manifest.files:
        raise ValueError(f"it has no {JOURNAL}")
    return manifest


def _copied(source: IO[bytes], target: Path, mode: int) -> str:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    total = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
        while part := source.read(_CHUNK):
            total.update(part)
            file.write(part)
        # As it was, with no more rights than that.
        os.fchmod(file.fileno(), mode & 0o755)
        os.fsync(file.fileno())
    return total.hexdigest()


def _sum(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            total.update(part)
    return total.hexdigest()
