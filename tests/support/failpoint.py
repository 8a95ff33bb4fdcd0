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
from pathlib import Path
from types import FunctionType
from typing import Any, Callable

CLIENT = "maglica.client_worker.journal"
HOST = "maglica.host_worker.journal.journal"
ERRORS = {"EIO": "disk I/O error", "ENOSPC": "database or disk is full"}
WAYS = ("kill-before", "kill-after", *ERRORS)
# What a journal writes by; each in the code of a function makes that a step.
WRITERS = {CLIENT: {"change", "begin", "commit", "rollback"}, HOST: {"write"}}
STATEMENTS = ("wal_checkpoint", "user_version = ")


def steps(journal: str) -> tuple[str, ...]:
    """Return the names of the steps of the journal that is this module."""
    return tuple(name for _owner, name in _steps(journal))


def _steps(journal: str) -> Iterator[tuple[type, str]]:
    module = importlib.import_module(journal)
    database = importlib.import_module("maglica.system.database").Database
    *parts, _object = module.Journal.__mro__
    for owner, writers in (*((part, WRITERS[journal]) for part in parts), (database, set())):
        for name, value in vars(owner).items():
            if isinstance(value, FunctionType) and _writes(value, writers):
                yield owner, name


def _writes(function: FunctionType, writers: set[str]) -> bool:
    code = function.__code__
    texts = [each for each in code.co_consts if isinstance(each, str)]
    return not writers.isdisjoint(code.co_names) or any(
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
            _break(how, arguments[0])
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


def _break(how: str, owner: Any) -> None:
    """Raise what SQLite raises, as the database passes it on; a full disk ends a transaction."""
    database = owner if hasattr(owner, "in_transaction") else owner._db
    if how == "ENOSPC":
        database.rollback()
    with database._errors("write"):
        raise sqlite3.OperationalError(ERRORS[how])
