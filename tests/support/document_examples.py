# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which test runs each block of README and docs, or why none does.

A block is named by its document and by a text that no other block of it has. Beside it stand the
tests, each as FILE::FUNCTION below tests/, or a sentence in ``Not``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Not:
    """Why no test runs a block as it is written."""

    because: str


Row = tuple[str, str, "str | Not"]

_VM = "integration/vm"
_README = f"{_VM}/test_documents.py"
_PROTOCOL = "unit/docs/test_protocol_text.py::test_example"

ROWS: tuple[Row, ...] = ()
