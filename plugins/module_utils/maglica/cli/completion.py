# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica completion``: what a shell needs to complete command lines, by argcomplete."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from typing import Any

from .._deps import need
from ..model.errors import DependencyMissing

SHELLS = ("bash", "zsh")
# As the shell's function asks, with what it has of a command line.
_ASKED = "_ARGCOMPLETE"
# What argcomplete writes for bash, zsh understands by this.
_FOR_ZSH = """\
autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
"""


def add_command(objects: Any) -> None:
    parser = objects.add_parser(
        "completion",
        help="write what a shell needs to complete command lines",
        description='For ~/.bashrc: eval "$(maglica completion bash)".',
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(write=script)


def script(asked: argparse.Namespace) -> str:
    """Return what that shell is to run. Raises DependencyMissing."""
    code: str = need("argcomplete").shellcode(["maglica"])
    return (_FOR_ZSH if asked.shell == "zsh" else "") + code


def offer(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a command line goes on, and end; return if none asks."""
    if _ASKED in os.environ:
        with suppress(DependencyMissing):
            need("argcomplete").autocomplete(parser)
