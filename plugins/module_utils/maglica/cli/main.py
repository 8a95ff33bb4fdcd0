# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: ``maglica image list``, ``maglica vm clone`` and the rest.

Results go to standard output, progress and errors to standard error, an error as one line.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Callable, NoReturn

from ..config import chosen
from ..config.config import Config
from ..fleet.source import Access, Fleet
from ..model.errors import MaglicaError
from ..model.request import HostStatus
from ..wire.client import Client
from . import completion, exits, host, image, request, status, vm
from .console import Cloud, Console, Unwritten
from .exits import Exit
from .options import Group, where


def main(
    arguments: Sequence[str] | None = None,
    make_client: Callable[[Config], Client] = Client,
    make_fleet: Callable[[Access, Client], Fleet] = Access.fleet,
) -> int:
    """Run one command line and return its exit status."""
    parser = _parser()

    def known(asked: argparse.Namespace) -> Sequence[HostStatus]:
        with make_client(_config(asked)) as client:
            return client.hosts()

    completion.offer(parser, known)
    options = parser.parse_args(arguments)
    # Either is None when it is closed: then nobody wants to read it.
    out, err = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))
    if isinstance(out, io.TextIOWrapper):
        # Domains may have names that the user's character set has not.
        out.reconfigure(errors="backslashreplace")
    console = Console(out, err, getattr(options, "json", False), sys.stdin)
    try:
        if hasattr(options, "write"):
            # Without a configuration, which there may not be yet.
            console.show(None, options.write(options))
            return Exit.DONE
        loaded = _config(options)
        with make_client(loaded) as client:
            ended: Exit | None = options.run(Cloud(loaded, client, make_fleet), options, console)
    except MaglicaError as error:
        console.say(f"maglica: {' '.join(str(error).split())}")
        return exits.of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Unwritten as error:
        # The interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader who has closed the pipe has what it wanted.
        if not isinstance(error.__cause__, BrokenPipeError):
            console.say(f"maglica: cannot write the results: {error}")
        return Exit.FAILED
    return Exit.DONE if ended is None else ended


def _config(options: argparse.Namespace) -> Config:
    return chosen.find({name: getattr(options, name, None) for name in chosen.VARIABLES})


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where(common)
    common.add_argument("--json", action="store_true", help="write results as JSON")
    parser = _Parser(
        prog="maglica",
        description="Clone original images to vms on libvirt hosts, and look after them.",
        epilog=exits.told(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    objects = parser.add_subparsers(metavar="OBJECT", required=True)
    image.add_commands(Group(objects, common, "image", "original images"))
    vm.add_commands(Group(objects, common, "vm", "vms, the clones and all other domains"))
    host.add_commands(Group(objects, common, "host", "hosts"))
    request.add_commands(Group(objects, common, "request", "requests to hosts"))
    status.add_command(objects, common)
    completion.add_command(objects)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"maglica: {message}; see {self.prog} --help\n")


if __name__ == "__main__":
    raise SystemExit(main())
