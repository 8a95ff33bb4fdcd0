# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes SSH host keys on this host: its randomness is better than that of a guest's first boot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from ...errors import DependencyMissing, StorageFailed
from .model import HostKey


def host_keys(types: Iterable[str], hostname: str, folder: Path) -> tuple[HostKey, ...]:
    """Make a new key of each type ("ed25519", "ecdsa", "rsa") by ssh-keygen.

    ``folder`` must be private; the keys' files are removed from it again. Raises StorageFailed
    or DependencyMissing.
    """
    return tuple(_host_key(kind, hostname, folder / kind) for kind in types)


def _host_key(kind: str, hostname: str, path: Path) -> HostKey:
    public = path.with_suffix(".pub")
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{hostname}", "-f", str(path)]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StorageFailed(f"ssh-keygen can't make a {kind} key: {done.stderr.strip()[:300]}")
        return HostKey(kind, path.read_bytes(), public.read_text(encoding="ascii").strip())
    except FileNotFoundError as error:
        raise DependencyMissing(
            "this host lacks ssh-keygen (Debian: openssh-client), which makes SSH host keys"
        ) from error
    finally:
        path.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
