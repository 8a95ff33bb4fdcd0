# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any, Callable

from ..config import chosen
from ..fleet.source import Source
from ..model import sizes
from ..model.errors import NameInvalid
from ..verbs.verb import Option

_WAIT_TIMEOUT = 1800
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Group:
    """The commands of one kind of object."""

    def __init__(self, objects: Any, common: argparse.ArgumentParser, name: str, what: str) -> None:
        self._common = common
        parser = objects.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        self._commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)

    def add(self, name: str, run: Callable[..., None], what: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self._commands.add_parser(
            name,
            help=what,
            description=what[0].upper() + what[1:] + ".",
            parents=[self._common],
        )
        parser.set_defaults(run=run)
        return parser


def where(parser: argparse.ArgumentParser) -> None:
    """Add what says where the client worker is, and who asks. A secret key itself is none of it:
    everybody on a machine sees command lines.
    """
    variables = chosen.VARIABLES
    for name, metavar, what in (
        ("config", "FILE", "the configuration, in the place of the user's, and of the machine's"),
        ("client_worker", "HOST[:PORT]", "where the client worker is"),
        ("client_worker_key", "KEY", "its public key"),
        ("key_file", "FILE", "the file with the secret key of who asks"),
    ):
        flag = f"--{name.replace('_', '-')}"
        said = f"{what} (default: ${variables[name]})"
        parser.add_argument(flag, type=given, metavar=metavar, help=said)


def host(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--host", type=given, help=what)


def source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        choices=[source.value for source in Source],
        default=Source.AUTO.value,
        help="who tells what runs where: the hosts' libvirtds, or the client worker by their"
        " reports (default: auto, libvirt where hosts are configured and libvirt is installed)",
    )


def wait(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--wait", action="store_true", default=True, help="wait for the end (the default)"
    )
    choice.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return once the request is accepted"
    )
    timeout(parser)


def timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=positive,
        default=_WAIT_TIMEOUT,
        metavar="SECONDS",
        help=f"how long to wait for the end (default: {_WAIT_TIMEOUT})",
    )


def of_verb(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    groups: dict[str, Any] = {}
    for option in options:
        if option.either is None:
            _add(parser, option)
            continue
        if option.either not in groups:
            groups[option.either] = parser.add_mutually_exclusive_group()
        _add(groups[option.either], option)


def _add(parser: Any, option: Option) -> None:
    said: dict[str, Any] = {"help": option.what}
    if option.flag.startswith("-"):
        said["dest"] = option.field
        said["required"] = option.is_needed
    if option.form == "switch":
        said["action"] = "store_true"
    elif option.form == "yes or no":
        said.update(action=argparse.BooleanOptionalAction, default=None)
    elif option.form in ("tags", "numbers"):
        some = "+" if option.is_needed else "*"
        kind = positive if option.form == "numbers" else str
        said.update(action="extend", nargs=some, metavar=option.metavar, type=kind)
    else:
        kinds: dict[str, Callable[[str], Any]] = {
            **{"number": positive, "seconds": number, "size": size},
            **{"text": given, "any text": str},
        }
        said.update(type=kinds[option.form], metavar=option.metavar, default=option.default)
    if option.choices:
        said["choices"] = option.choices
    parser.add_argument(option.flag, **said)


def given(text: str) -> str:
    """Refuse an empty text, as a variable that is not set gives it: it would count as not said."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def positive(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def number(text: str) -> int:
    return 0 if text == "0" else positive(text)


def size(text: str) -> int:
    """Return the MiB that a size says, which may have a unit."""
    try:
        return sizes.mib(text, "size")
    except NameInvalid as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def request_id(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a request id")
    return text
