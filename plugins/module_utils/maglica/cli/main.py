# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: ``maglica image list``, ``maglica vm clone`` and the rest.

Results go to standard output, progress and errors to standard error, an error as one line.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NoReturn

from ..config import config
from ..config.config import Config
from ..model.errors import MaglicaError
from ..model.request import CloneMode, State
from ..verbs import table
from ..verbs.clone import CLONE
from ..verbs.verb import Option
from ..wire.client import Client
from . import commands
from .console import Console

FAILED = 1
_EXITS = {
    "config_invalid": 2,
    "name_invalid": 2,
    "dependency_missing": 2,
    "request_timeout": 3,
    "peer_silent": 4,
    "access_denied": 5,
}
_INTERRUPTED = 130
_EXIT_HELP = """\
exit status:
  0  done
  1  the client worker or a host refused, or the request failed or was cancelled
  2  the command line, a name or the configuration is wrong
  3  the request had not ended when the waiting did; it goes on
  4  the client worker did not answer
  5  the client worker does not know the key, or the key may not do this
"""
_WAIT_TIMEOUT = 1800
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def main(
    arguments: Sequence[str] | None = None,
    make_client: Callable[[Config], Client] = Client,
) -> int:
    """Run one command line and return its exit status."""
    options = _parser().parse_args(arguments)
    console = Console(sys.stdout, sys.stderr, getattr(options, "json", False))
    try:
        path = getattr(options, "config", None) or config.default_path()
        with make_client(config.load(path)) as client:
            options.run(client, options, console)
        sys.stdout.flush()
    except MaglicaError as error:
        console.say(f"maglica: {' '.join(str(error).split())}")
        return _EXITS.get(error.code, FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has what it wanted; the interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--config",
        metavar="FILE",
        help=f"the configuration (default: ${config.PATH_VARIABLE}, else {config.DEFAULT_PATH})",
    )
    common.add_argument("--json", action="store_true", help="write results as JSON")
    parser = _Parser(
        prog="maglica",
        description="Clone original images to vms on libvirt hosts, and look after them.",
        epilog=_EXIT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    objects = parser.add_subparsers(metavar="OBJECT", required=True)
    _image(_Group(objects, common, "image", "original images"))
    _vm(_Group(objects, common, "vm", "vms, the clones and all other domains"))
    _host(_Group(objects, common, "host", "hosts"))
    _request(_Group(objects, common, "request", "requests to hosts"))
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"maglica: {message}; see {self.prog} --help\n")


class _Group:
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


def _image(group: _Group) -> None:
    listing = group.add("list", commands.image_list, "list the original images of all hosts")
    _host_option(listing, "only those on this host")

    for verb in table.VERBS:
        if verb.about == "image":
            parser = group.add(verb.name, commands.image_act, verb.help)
            parser.add_argument("name", metavar="NAME", help="the original image")
            _host_option(parser, "only there (default: every host that has it)")
            _wait_options(parser)


def _host(group: _Group) -> None:
    listing = group.add("list", commands.host_list, "list hosts: what is free, what is wrong")
    _host_option(listing, "only this one")


def _vm(group: _Group) -> None:
    listing = group.add("list", commands.vm_list, "list the vms of all hosts")
    _host_option(listing, "only those on this host")

    clone = group.add(CLONE.name, commands.vm_clone, CLONE.help)
    clone.add_argument("--image", required=True, help="the original image")
    clone.add_argument(
        "--hostname",
        required=True,
        action="append",
        metavar="NAME",
        help="the vm's name, also inside the guest; may be given again, for one more vm",
    )
    clone.add_argument(
        "--count",
        type=_positive,
        metavar="N",
        help="make N vms, of which all fit or none is made; NAME has %%d for the number, or %%02d",
    )
    clone.add_argument(
        "--first", type=_number, metavar="N", help="the first number of --count (default: 1)"
    )
    _host_option(clone, "make it there (default: the host that suits best)")
    clone.add_argument(
        "--mode",
        choices=[mode.value for mode in CloneMode],
        default=CloneMode.LINKED.value,
        help="disks as overlays of a base, or as full copies (default: linked)",
    )
    clone.add_argument("--pool", help="the storage pool (default: the one with most room)")
    clone.add_argument("--vcpus", type=_positive, metavar="N", help="default: as in the image")
    clone.add_argument("--memory", type=_positive, metavar="MIB", help="default: as in the image")
    clone.add_argument(
        "--network",
        action="append",
        metavar="NAME",
        help="libvirt network of an interface with DHCP; once for each (default: as in the image)",
    )
    clone.add_argument(
        "--ssh-authorized-keys", type=Path, metavar="FILE", help="public keys for root to log in"
    )
    clone.add_argument(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        metavar="TAG",
        help="a tag of the vm; once for each",
    )
    clone.add_argument(
        "--no-start", dest="start", action="store_false", help="leave the vm stopped"
    )
    _wait_options(clone)

    for verb in table.VERBS:
        if verb.about == "vm" and not verb.makes_vm:
            parser = group.add(verb.name, commands.vm_act, verb.help)
            parser.add_argument("name", metavar="NAME", help="the vm")
            _host_option(parser, "needed only when several hosts have a vm of that name")
            _wait_options(parser)
            for option in verb.options:
                _verb_option(parser, option)


def _verb_option(parser: argparse.ArgumentParser, option: Option) -> None:
    said: dict[str, Any] = {"help": option.what}
    if option.flag.startswith("-"):
        said["dest"] = option.field
    if option.form == "switch":
        said["action"] = "store_true"
    elif option.form == "tags":
        said.update(nargs="*", metavar=option.metavar)
    else:
        said.update(type=_positive, metavar=option.metavar, default=option.default)
    parser.add_argument(option.flag, **said)


def _request(group: _Group) -> None:
    listing = group.add("list", commands.request_list, "list requests, the newest first")
    listing.add_argument(
        "--state",
        action="append",
        default=[],
        choices=[state.value for state in State],
        help="only those in this state; may be given again",
    )
    listing.add_argument("--name", help="only those about this vm")
    listing.add_argument(
        "--limit", type=_positive, default=100, metavar="N", help="at most N (default: 100)"
    )
    show = group.add("show", commands.request_show, "show all about a request")
    cancel = group.add("cancel", commands.request_cancel, "cancel a request and undo what it did")
    wait = group.add("wait", commands.request_wait, "follow a request until it has ended")
    for parser in (show, cancel, wait):
        parser.add_argument("id", metavar="ID", type=_request_id, help="the request's id")
    _wait_options(cancel)
    _timeout_option(wait)


def _host_option(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--host", help=what)


def _wait_options(parser: argparse.ArgumentParser) -> None:
    wait = parser.add_mutually_exclusive_group()
    wait.add_argument(
        "--wait", action="store_true", default=True, help="wait for the end (the default)"
    )
    wait.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return once the request is accepted"
    )
    _timeout_option(parser)


def _timeout_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=_WAIT_TIMEOUT,
        metavar="SECONDS",
        help=f"how long to wait for the end (default: {_WAIT_TIMEOUT})",
    )


def _positive(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _number(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _request_id(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no request id")
    return text


if __name__ == "__main__":
    raise SystemExit(main())
