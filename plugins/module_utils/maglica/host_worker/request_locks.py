# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lock a request, held by the process that works on it, freed by the kernel when that is gone.

A worker that was killed and started again can't know whether the old child still runs; its new
child waits here until it does not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..system import locks

FOLDER = "locks"


@contextmanager
def held(state_dir: Path, request_ids: Iterable[str]) -> Iterator[None]:
    """Hold the locks of all these requests during the block; wait for those that others hold.

    Raises JournalFailed when a lock's file can't be made.
    """
    folder = state_dir / FOLDER
    with ExitStack() as stack:
        # In one order everywhere, so that two that wait for each other are impossible.
        for request_id in sorted(request_ids):
            stack.enter_context(locks.held(folder / request_id))
        yield


def sweep(state_dir: Path, open_ids: Collection[str]) -> None:
    """Remove the files of requests that are not open any more.

    Who waits for such a file holds a nameless one then, and finds the request ended.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(state_dir / FOLDER) as entries:
        for entry in entries:
            if entry.name not in open_ids:
                with contextlib.suppress(FileNotFoundError):
                    Path(entry.path).unlink()
