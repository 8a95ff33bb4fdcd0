# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a command writes to, and whom it asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from ..config.config import Config
from ..fleet.source import Access, Fleet, Source
from ..model.errors import MaglicaError
from ..model.plain import plain
from ..model.text import one_line
from ..wire.client import Client


class Unwritten(Exception):
    """What was found can't be written to where the user wants it."""


class NotConfirmed(MaglicaError):
    """What can't be taken back is not done, since nobody said that it shall be."""

    code = "not_confirmed"


@dataclass(frozen=True)
class Console:
    """Where results (``out``) and what is said besides (``err``) go, and in which form.

    ``answers`` is where the user answers questions, if there is somebody to ask.
    """

    out: TextIO
    err: TextIO
    as_json: bool
    answers: TextIO | None = None

    def show(self, value: Any, text: str) -> None:
        """Write ``value`` as JSON or ``text``, as the user asked. Raises Unwritten."""
        if self.as_json:
            text = json.dumps(plain(value), indent=2) + "\n"
        try:
            self.out.write(text)
            self.out.flush()
        except OSError as error:
            raise Unwritten(error.strerror) from error

    def ask(self, question: str) -> bool:
        """Say whether the user has answered yes; False where nobody can be asked."""
        if self.answers is None or not (self.answers.isatty() and self.err.isatty()):
            return False
        self.err.write(f"{one_line(question)} [y/N] ")
        self.err.flush()
        return self.answers.readline().strip().lower() in {"y", "yes"}

    def say(self, line: str) -> None:
        """Write a line besides the results; where it can't be written, it is lost."""
        with suppress(OSError):
            self.err.write(one_line(line) + "\n")
            self.err.flush()


@dataclass(frozen=True)
class Cloud:
    """The client worker, and the hosts."""

    config: Config
    client: Client
    make_fleet: Callable[[Access, Client], Fleet]

    def fleet(self, source: str) -> Fleet:
        """Return the hosts as that source shows them. Raises ConfigInvalid."""
        return self.make_fleet(Access(self.config, Source(source)), self.client)
