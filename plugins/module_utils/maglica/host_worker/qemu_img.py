# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies disks with qemu-img, under limits and with every format stated."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Callable

from ..errors import NoRoom, StorageFailed
from . import storage
from .images import QCOW2, Chain, content_bytes, source

# What qemu-img needs of address space, whatever an image's header asks for, in bytes.
_ADDRESS_SPACE = 4 << 30
# Seconds of processor time, and those for each GiB: ten times what zlib takes on a slow machine.
_CPU, _CPU_GIB = 600, 120
_NO_SPACE = ("No space left on device", "Disk quota exceeded")
_PERCENT = re.compile(rb"\(([0-9.]+)/100%\)")


def copy(chain: Chain, target: str, alive: Callable[[], None]) -> None:
    """Copy a disk, all layers in one, into the empty qcow2 file ``target``; holes stay holes.

    ``chain`` is opened read-only. ``alive`` is called whenever there was progress. The copy is on
    the disk when this returns. Raises NoRoom, StorageFailed, or ImageUnsupported for a damaged one.
    """
    needed = content_bytes(chain)
    if needed > storage.free_bytes(target):
        raise NoRoom(_about(chain, needed, target))
    command = ["prlimit", f"--as={_ADDRESS_SPACE}", "--core=0", f"--cpu={_cpu_seconds(needed)}"]
    command += ["qemu-img", "convert", "-p", "-n"]
    command += ["-t", "writeback", "-O", QCOW2, source(chain), target]
    try:
        with subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        ) as process:
            words = _follow(process, alive)
    except OSError as error:
        raise StorageFailed(f"qemu-img can't be run: {error}") from error
    if process.returncode:
        failure = NoRoom if any(text in words for text in _NO_SPACE) else StorageFailed
        raise failure(f"{_about(chain, needed, target)}: {words}")
    _sync(target)


def _about(chain: Chain, needed: int, target: str) -> str:
    text = f"disk {chain[0].path} ({storage.gib(needed)} GiB) can't be copied to {target}"
    return f"{text}, {storage.gib(storage.free_bytes(target))} GiB free"


def _cpu_seconds(needed: int) -> int:
    return _CPU + _CPU_GIB * (needed >> 30)


def _follow(process: subprocess.Popen[bytes], alive: Callable[[], None]) -> str:
    """Report progress until the program ends; return its last words."""
    seen = b""
    if process.stdout is None or process.stderr is None:
        return ""
    # qemu-img writes little to stderr, and stops after it: it can't fill the pipe.
    while chunk := os.read(process.stdout.fileno(), 4096):
        found = _PERCENT.findall(chunk)
        if found and found[-1] != seen:
            seen = found[-1]
            alive()
    lines = process.stderr.read(8192).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"qemu-img ended with {process.wait()}"


def _sync(path: str) -> None:
    try:
        with Path(path).open("rb") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageFailed(f"{path} can't be written to the disk: {error.strerror}") from error
