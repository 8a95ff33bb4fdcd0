# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the command line writes to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TextIO

from ..model.plain import plain
from ..model.text import one_line


@dataclass(frozen=True)
class Console:
    """Where results (``out``) and what is said besides (``err``) go, and in which form."""

    out: TextIO
    err: TextIO
    as_json: bool

    def show(self, value: Any, text: str) -> None:
        """Write ``value`` as JSON or ``text``, as the user asked."""
        if self.as_json:
            text = json.dumps(plain(value), indent=2) + "\n"
        self.out.write(text)

    def say(self, line: str) -> None:
        self.err.write(one_line(line) + "\n")
        self.err.flush()
