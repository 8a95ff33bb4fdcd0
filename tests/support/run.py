# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs for what is built of whole machines, and telling the user how far it is."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_START = time.monotonic()
_PRINT = threading.Lock()


class CloudError(Exception):
    """Something that the user must know; the text says what failed, where and why."""


def say(text: str) -> None:
    """Print a line of progress with the seconds since the program started."""
    with _PRINT:
        print(f"[{time.monotonic() - _START:6.1f} s] {text}", flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Announce `what`, and how many seconds it took once it is done."""
    say(f"{what} ...")
    begin = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - begin:.1f} s")


def run(
    *command: str | Path,
    stdin: str | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program and return what it printed; CloudError with its own words if it fails.

    `timeout` is in seconds. The program is killed when this program dies, however that happens.
    """
    words = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
    try:
        done = subprocess.run(
            words,
            input=stdin if stdin is not None else "",
            env=env,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CloudError(f"{_show(command)}: no end after {timeout:.0f} s") from error
    if done.returncode:
        words_of_program = (done.stderr.strip() or done.stdout.strip()).splitlines()[-25:]
        detail = "\n".join(words_of_program)
        raise CloudError(f"{_show(command)}: exit status {done.returncode}\n{detail}")
    return done.stdout


def remove_tree(path: Path) -> None:
    """Remove a folder, if it is there, and all that is in it; what is mounted below is not."""
    run(CHECKOUT / "tests/tools/remove-tree", path)


def _show(command: tuple[str | Path, ...]) -> str:
    text = " ".join(map(str, command))
    return text if len(text) <= 160 else text[:157] + "..."
