# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done by qemu-img, under limits and with every format stated."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Callable

from ..model.errors import NoRoom, StorageFailed
from ..system.programs import environment, limited
from . import mounts
from .chain import QCOW2, RAW, Chain, Layer, content_bytes, source, top_source
from .room import gib

# Seconds of processor time, and those for each GiB: ten times what zlib takes on a slow machine.
_CPU, _CPU_GIB = 600, 120
# As often it is said that a check goes on.
_LOOK_SECONDS = 5.0
# A map is of a file that this host made, and as long as its guest has a say in: more of it, some
# 250,000 pieces, is not worth what it takes to read.
_MAP_SECONDS = 60
MAX_MAP = 32 << 20
NO_SPACE = ("No space left on device", "Disk quota exceeded")
_PERCENT = re.compile(rb"\(([0-9.]+)/100%\)")

log = logging.getLogger(__name__)


def copy(
    chain: Chain, target: str, alive: Callable[[], None], overlay: Layer | None = None
) -> None:
    """Copy a disk, all layers in one, into the empty qcow2 file ``target``; holes stay holes.

    It is opened read-only, and what it has is that of ``overlay``, if there is one. ``alive`` is
    called whenever there was progress. The copy is on the disk when this returns. Raises NoRoom,
    StorageFailed, or ImageUnsupported for a damaged one.
    """
    layers = chain if overlay is None else (overlay, *chain)
    free = mounts.room(target).free
    needed = content_bytes(layers, free, alive)
    if needed > free:
        raise NoRoom(_about(chain, needed, target))
    words = ["qemu-img", "convert", "-p", "-n", "-t", "writeback"]
    words += ["-O", QCOW2, source(layers), target]
    _run(words, needed, _about(chain, needed, target), alive)
    _sync(target)


def flatten(path: str, needed: int, alive: Callable[[], None]) -> None:
    """Copy into the qcow2 file ``path`` what it has of the files below it, then forget those.

    ``needed`` are the bytes that these hold. All is on the disk when this returns; before, the
    header may have forgotten what the tables still need. Raises NoRoom, StorageFailed.
    """
    about = f"disk {path} can't be made independent of its base"
    # The formats of the files below are in the headers that Maglica wrote, as was checked before.
    _run(["qemu-img", "rebase", "-p", "-f", QCOW2, "-b", "", path], needed, about, alive)
    _sync(path)


def lay_over(below: Layer, path: str) -> None:
    """Make the qcow2 file ``path``, an overlay of a disk whose first file is ``below``.

    The disk is not opened. Raises StorageFailed or NoRoom.
    """
    about = f"disk {below.path} can't be laid under {path}"
    try:
        # Nobody else may read what a guest has on its disks, and no file that is there is replaced.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageFailed(f"{about}: {error.strerror}") from error
    words = ["qemu-img", "create", "-q", "-u", "-f", QCOW2, "-b", top_source(below)]
    _run([*words, "-F", below.format, path, str(below.size)], 0, about, lambda: None)


def lay_upon(path: str, backing: str, backing_format: str) -> None:
    """Write into the header of the qcow2 file ``path`` what it builds upon.

    Raises StorageFailed.
    """
    words = ["qemu-img", "rebase", "-u", "-f", QCOW2, "-F", backing_format, "-b", backing, path]
    _run(words, 0, f"disk {path} can't be laid upon its base", lambda: None)
    _sync(path)


def map_of(path: str) -> list[tuple[int, int, int]]:
    """Return what of a qcow2 file's disk lies in the file: where on the disk, where, how long.

    What lies in a file below it is none of it. Nothing for a disk in so many pieces that their list
    is too long. Raises StorageFailed.
    """
    output = _map(path)
    if output is None:
        log.warning("%s is in too many parts to be searched", path)
        return []
    own = (entry for entry in json.loads(output) if entry["depth"] == 0)
    entries = [entry for entry in own if entry["data"] and "offset" in entry]
    return [(entry["start"], entry["offset"], entry["length"]) for entry in entries]


def _map(path: str) -> bytes | None:
    """Return qemu-img's map of a qcow2 file, None for one that is too long; or StorageFailed."""
    words = ["qemu-img", "map", "-f", QCOW2, "--output=json", path]
    with ExitStack() as stack:
        output = os.memfd_create("map")
        stack.callback(os.close, output)
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                limited(words, _MAP_SECONDS, MAX_MAP),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                env=environment(),
                timeout=_MAP_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageFailed(f"qemu-img can't be run: {error}") from error
        if done.returncode == -signal.SIGXFSZ:
            return None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [""]
            raise StorageFailed(f"qemu-img: {said[-1][:300] or done.returncode}")
        return os.pread(output, MAX_MAP, 0)


def is_sound(path: str, alive: Callable[[], None] = lambda: None) -> bool:
    """Tell whether a qcow2 file counts its clusters rightly, so that a writer finds what is free.

    With a wrong count what is written next stands in the place of what the disk has. ``alive`` is
    called while that goes on, for as long as a large disk takes: it tells of no progress, and who
    waits for a disk that hangs is not to be taken for alive for ever. Raises StorageFailed.
    """
    try:
        with subprocess.Popen(  # pylint: disable=ansible-bad-function
            limited(["qemu-img", "check", "-q", "-f", QCOW2, path], _CPU),
            stdin=subprocess.DEVNULL,
            # It has a line for each cluster.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        ) as process:
            try:
                for _turn in range(int(2 * _CPU / _LOOK_SECONDS)):
                    with suppress(subprocess.TimeoutExpired):
                        return process.wait(_LOOK_SECONDS) == 0
                    alive()
            except BaseException:
                # It would be waited for.
                process.kill()
                raise
            return process.wait() == 0
    except OSError as error:
        raise StorageFailed(f"qemu-img can't be run: {error}") from error


def head(layer: Layer, length: int) -> bytes:
    """Return the first bytes of a disk whose first file is ``layer``, one of this host's own.

    ``length`` is a multiple of 512; a shorter disk gives fewer. Raises StorageFailed.
    """
    with ExitStack() as stack:
        descriptor = os.memfd_create("head")
        stack.callback(os.close, descriptor)
        words = ["qemu-img", "dd", "-U", "-f", layer.format, "-O", RAW, "bs=512"]
        words += [f"count={length // 512}", f"if={layer.path}"]
        target = f"of=/proc/{os.getpid()}/fd/{descriptor}"
        _run([*words, target], 0, f"disk {layer.path} can't be read", lambda: None)
        return os.pread(descriptor, length, 0)


def _run(words: Sequence[str], needed: int, about: str, alive: Callable[[], None]) -> None:
    """Run qemu-img under limits for a copy of ``needed`` bytes; ``about`` begins an error."""
    try:
        with subprocess.Popen(  # pylint: disable=ansible-bad-function
            limited(words, _CPU + _CPU_GIB * (needed >> 30)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as process:
            try:
                said = _follow(process, alive)
            except BaseException:
                # It would be waited for.
                process.kill()
                raise
    except OSError as error:
        raise StorageFailed(f"qemu-img can't be run: {error}") from error
    if process.returncode:
        failure = NoRoom if any(text in said for text in NO_SPACE) else StorageFailed
        raise failure(f"{about}: {said}")


def _about(chain: Chain, needed: int, target: str) -> str:
    text = f"disk {chain[0].path} ({gib(needed)} GiB) can't be copied to {target}"
    return f"{text}, {gib(mounts.room(target).free)} GiB free"


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
