# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs that read strangers' files may use, whatever is in these: QEMU's, unpackers."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# What they need of address space, whatever a disk's header asks for, in bytes.
_ADDRESS_SPACE = 4 << 30


def limited(words: Sequence[str], cpu: int, output: int | None = None) -> list[str]:
    """Return a command line that runs a program under limits, by prlimit(1) of util-linux.

    ``cpu`` is in seconds of processor time, ``output`` in bytes of any file that it writes.
    """
    limits = [f"--as={_ADDRESS_SPACE}", "--core=0", f"--cpu={cpu}"]
    if output is not None:
        limits.append(f"--fsize={output}")
    return ["prlimit", *limits, *words]


@contextmanager
def address_space(most: int) -> Iterator[None]:
    """Let programs that this process starts during the block have at most so many bytes of it."""
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def environment() -> dict[str, str]:
    """Return all that such a program is told of this process' environment."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
