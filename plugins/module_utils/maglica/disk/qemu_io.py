# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a disk of this host's own by qemu-io, under limits and with its format stated."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack

from ..model.errors import NoRoom, StorageFailed
from ..system.programs import environment, limited
from .partitions import Patch
from .qemu_img import NO_SPACE

# It needs a moment; it writes a few KiB.
_SECONDS = 60


def grow(path: str, disk_format: str, size: int, patches: Sequence[Patch]) -> None:
    """Let a disk have ``size`` bytes, which are no fewer than before, and write patches to it.

    All is on the disk when this returns. Raises NoRoom or StorageFailed.
    """
    about = f"disk {path} can't be made larger"
    with ExitStack() as stack:
        words = ["qemu-io", "-f", disk_format, "-c", f"truncate {size}"]
        for patch in patches:
            source = _in_memory(patch.content, stack)
            words += ["-c", f"write -q -s {source} {patch.offset} {len(patch.content)}"]
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                limited([*words, "-c", "flush", path], _SECONDS),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(),
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageFailed(f"{about}: qemu-io can't be run: {error}") from error
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        failure = NoRoom if any(text in said for text in NO_SPACE) else StorageFailed
        first = next(iter(said.splitlines()), f"qemu-io ended with {done.returncode}")
        raise failure(f"{about}: {first[:300]}")


def _in_memory(content: bytes, stack: ExitStack) -> str:
    """Return the path of a file in memory with that content."""
    descriptor = os.memfd_create("maglica")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    return f"/proc/{os.getpid()}/fd/{descriptor}"
