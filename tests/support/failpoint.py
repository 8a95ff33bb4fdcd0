# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let one write of a worker's journal go wrong, in whichever process of the worker it comes.

The plan, a file, has a line for each: "end kill-before", "end kill-after", "end EIO", "end ENOSPC".
The first is taken out when it happens. Steps are the functions of a journal that write, found by
what their code does, so that none can be left out.
"""

from __future__ import annotations

import fcntl
import functools
import importlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FunctionType
from typing import Any, Callable

CLIENT = "maglica.client_worker.journal"
HOST = "maglica.host_worker.journal.journal"
ERRORS = {"EIO": "disk I/O error", "ENOSPC": "database or disk is full"}
WAYS = ("kill-before", "kill-after", *ERRORS)
# Functions below which all writing is.
WRITERS = {CLIENT: "_execute", HOST: "write"}
STATEMENTS = ("wal_checkpoint", "user_version = ")


def steps(journal: str) -> tuple[str, ...]:
    """Return the names of the steps of the journal that is this module."""
    return tuple(name for _owner, name in _steps(journal))


def _steps(journal: str) -> Iterator[tuple[Any, str]]:
    module = importlib.import_module(journal)
    owners = [module.Journal, module, *filter(None, [getattr(module, "Database", None)])]
    for owner in owners:
        for name, value in vars(owner).items():
            if isinstance(value, FunctionType) and _writes(value, WRITERS[journal]):
                yield owner, name


def _writes(function: FunctionType, writer: str) -> bool:
    code = function.__code__
    texts = (each for each in code.co_consts if isinstance(each, str))
    return writer in code.co_names or any(
        statement in text for text in texts for statement in STATEMENTS
    )


def plant(plan: Path, journal: str) -> None:
    """Plant the failpoints of a journal in this process."""
    for owner, name in _steps(journal):
        setattr(owner, name, _breakable(plan, name, getattr(owner, name)))


def _breakable(plan: Path, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def step(*arguments: Any, **named: Any) -> Any:
        how = _due(plan, name)
        if how == "kill-before":
            os.kill(os.getpid(), signal.SIGKILL)
        if how in ERRORS:
            _break(how, arguments, real.__globals__)
        result = real(*arguments, **named)
        if how == "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return step


def _due(plan: Path, name: str) -> str:
    """Return how this step is to go wrong now, and take that out of the plan."""
    with plan.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first, *rest = plan.read_text().splitlines() or ["none of them"]
        step, how = first.split(maxsplit=1)
        if step != name:
            return ""
        plan.write_text("".join(f"{line}\n" for line in rest))
        return how


def _break(how: str, arguments: tuple[Any, ...], module: dict[str, Any]) -> None:
    """Raise what SQLite raises, as the journal passes it on; a full disk ends a transaction."""
    owner = arguments[0]
    connection = getattr(owner, "_connection", None)
    if how == "ENOSPC" and connection is not None and connection.in_transaction:
        connection.execute("ROLLBACK")
    errors: AbstractContextManager[None]
    if "_failing" in module:
        errors = module["_failing"](getattr(owner, "path", owner))
    else:
        errors = (owner if hasattr(owner, "_errors") else owner._db)._errors("write")
    with errors:
        raise sqlite3.OperationalError(ERRORS[how])
