# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts in the place of QEMU's programs, which note how they were called."""

from __future__ import annotations

from pathlib import Path

import pytest

_PRLIMIT = '#!/bin/sh\necho "$1 $2 $3" > "${0%/*}/limits"\nshift 3\nexec "$@"\n'
_NOTE = """for a; do printf '%s\\n' "$a"; done > "${0%/*}/arguments"; env > "${0%/*}"/env"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on the PATH, with a prlimit that notes the limits in the file ``limits``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    make(folder / "prlimit", _PRLIMIT)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def make(program: Path, text: str) -> None:
    """Write a program."""
    program.write_text(text)
    program.chmod(0o755)


def make_noting(program: Path, body: str) -> None:
    """Write a program that notes its words and its environment, in ``arguments`` and ``env``."""
    make(program, "\n".join(["#!/bin/sh", _NOTE, body, ""]))
