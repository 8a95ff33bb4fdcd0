# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes SSH host keys on this host: its randomness is better than that of a guest's first boot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..model.errors import DependencyMissing, StorageFailed
from .identity import HostKey


def host_keys(types: Iterable[str], hostname: str, folder: Path) -> tuple[HostKey, ...]:
    """Make a new key of each type ("ed25519", "ecdsa", "rsa") by ssh-keygen.

    ``folder`` must be private; the keys' files are removed from it again. Raises StorageFailed
    or DependencyMissing.
    """
    kinds = list(types)
    with ExitStack() as stack:
        # Side by side: each takes a while, of another core.
        started = [stack.enter_context(_started(kind, hostname, folder / kind)) for kind in kinds]
        return tuple(_finished(kind, *made) for kind, made in zip(kinds, started))


@contextmanager
def _started(kind: str, hostname: str, path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{hostname}", "-f", str(path)]
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError as error:
        raise DependencyMissing(
            "this host lacks ssh-keygen (Debian: openssh-client), which makes SSH host keys"
        ) from error
    try:
        with process:
            yield process, path
    finally:
        path.unlink(missing_ok=True)
        path.with_suffix(".pub").unlink(missing_ok=True)


def _finished(kind: str, process: subprocess.Popen[str], path: Path) -> HostKey:
    words, _none = process.communicate()
    if process.returncode:
        raise StorageFailed(f"ssh-keygen can't make a {kind} key: {words.strip()[:300]}")
    public = path.with_suffix(".pub").read_text(encoding="ascii").strip()
    return HostKey(kind, path.read_bytes(), public)
