# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CURVE keys in files: ``X.key`` holds a secret key (Z85, mode 0600), ``X.pub`` its public half.

``run.py maglica.wire.keys PATH.key`` makes them where they are missing. Of a pair that is to be
replaced, the new one is ``X.next.key`` and ``X.next.pub`` until ``--switch``.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._deps import need
from ..config import values
from ..config.config import Library
from ..model.errors import ConfigInvalid, MaglicaError

SUFFIX = ".key"
PUBLIC_SUFFIX = ".pub"
NEXT = ".next"
_LENGTH = 40


@dataclass(frozen=True)
class KeyPair:
    """Both halves of a key in Z85; the secret one is in no repr, so in no log and traceback."""

    public: bytes
    secret: bytes = field(repr=False)


def of(library: Library) -> KeyPair:
    """Return the keys of this machine's user. Raises ConfigInvalid."""
    if library.secret_key_file is not None:
        return read(library.secret_key_file)
    return _pair((library.secret_key or "").encode(), "the key that is given")


def read(path: Path) -> KeyPair:
    """Return the keys of the secret key file ``path``.

    Raises ConfigInvalid when it can't be read, holds no key, or others may read it.
    """
    try:
        # One open file for the check and for the reading: the name can't be switched in between.
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LENGTH + 2)
    except OSError as error:
        raise ConfigInvalid(f"cannot read secret key {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigInvalid(
            f"secret key {path} has mode {stat.S_IMODE(mode):04o}: group and others may have no"
            f" access; chmod 0600 it, and make new keys if they may have been read"
        )
    return _pair(text, str(path))


def make(path: Path) -> KeyPair:
    """Return the keys of ``path``; make the file and the public one beside it when missing.

    Nothing is overwritten. When this returns, both files are on disk, whatever happens next.
    Raises ConfigInvalid when a file can't be made or the two don't belong together.
    """
    if path.suffix != SUFFIX:
        raise ConfigInvalid(f"{path}: the name of a secret key file ends in {SUFFIX}")
    public_path = path.with_suffix(PUBLIC_SUFFIX)
    try:
        # The secret one is always made first.
        if public_path.exists() and not path.exists():
            raise ConfigInvalid(
                f"{public_path} is there without its secret half {path}: remove it to have new keys"
            )
        if not path.exists():
            _public, secret = need("zmq").curve_keypair()
            _create(path, secret, 0o600)
        pair = read(path)
        if not public_path.exists():
            _create(public_path, pair.public, 0o644)
        found = public_path.read_bytes().strip()
    except OSError as error:
        raise ConfigInvalid(f"cannot make key {path}: {error.strerror}") from error
    if found != pair.public:
        raise ConfigInvalid(f"{public_path} is not the public half of {path}: remove one of them")
    return pair


def switch(path: Path) -> KeyPair:
    """Let the key beside ``path`` that is to follow it take its place, and return it.

    Cut off anywhere, it is finished by the next call; one that finds nothing to do changes nothing.
    Raises ConfigInvalid, also when there is no key at all.
    """
    following = path.with_suffix(NEXT + SUFFIX)
    following_public = path.with_suffix(NEXT + PUBLIC_SUFFIX)
    try:
        if following.exists():
            make(following)
            following.replace(path)
            _keep(path.parent)
        if following_public.exists():
            if following_public.read_bytes().strip() != read(path).public:
                raise ConfigInvalid(
                    f"{following_public} is there without its secret half: remove it to have new"
                    " keys"
                )
            following_public.replace(path.with_suffix(PUBLIC_SUFFIX))
            _keep(path.parent)
    except OSError as error:
        raise ConfigInvalid(f"cannot switch to the new key of {path}: {error.strerror}") from error
    read(path)
    return make(path)


def _pair(text: bytes, where: str) -> KeyPair:
    secret = text.rstrip(b"\r\n")
    try:
        values.key(secret.decode("ascii"), Path())
        return KeyPair(need("zmq").curve_public(secret), secret)
    except ValueError:
        raise ConfigInvalid(f"{where} holds no secret key of {_LENGTH} Z85 characters") from None


def _create(path: Path, text: bytes, mode: int) -> None:
    """Write a new file whole or not at all; one that somebody else made meanwhile stays."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
    _keep(path.parent)


def _keep(folder: Path) -> None:
    """Have the names in a folder on disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the keys that the command line names and print their public halves."""
    parser = argparse.ArgumentParser(
        prog="run.py maglica.wire.keys",
        description="Make a CURVE key pair unless it is there, and print its public half (Z85)."
        " The secret half never leaves its file, which only its owner can read.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        type=Path,
        help=f"the secret key's file, which ends in {SUFFIX}; the public key's file,"
        f" {PUBLIC_SUFFIX}, is made beside it",
    )
    parser.add_argument(
        "--switch",
        action="store_true",
        help=f"let X{NEXT}{SUFFIX} take the place of X{SUFFIX}, with their public halves",
    )
    asked = parser.parse_args(arguments)
    try:
        for path in asked.paths:
            pair = switch(path) if asked.switch else make(path)
            sys.stdout.write(f"{pair.public.decode('ascii')}\n")
    except MaglicaError as error:
        sys.stderr.write(f"maglica.wire.keys: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
