# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica completion``: what a shell needs to complete command lines, by argcomplete.

Names of vms, images and hosts are those that the client worker knows.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from .._deps import need
from ..model import names
from ..model.errors import DependencyMissing, NameInvalid
from ..model.request import HostStatus

SHELLS = ("bash", "zsh")
# As the shell's function asks, with what it has of a command line.
_ASKED = "_ARGCOMPLETE"
# What argcomplete writes for bash, zsh understands by this.
_FOR_ZSH = """\
autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
"""

# Somebody waits for the next letter: what is not known by then is not offered.
SECONDS = 1.0

Ask = Callable[[argparse.Namespace], Sequence[HostStatus]]


def _hosts(status: HostStatus) -> Iterator[str]:
    yield status.host


def _images(status: HostStatus) -> Iterator[str]:
    return (domain.name for domain in status.report.domains if domain.is_image)


def _vms(status: HostStatus) -> Iterator[str]:
    return (domain.name for domain in status.report.domains if not domain.is_image)


def _pools(status: HostStatus) -> Iterator[str]:
    return (pool.name for pool in status.report.pools)


def _networks(status: HostStatus) -> Iterator[str]:
    return iter(status.report.networks)


# What options name, and what the name is of that a command is given, by the command's first word.
_OF_OPTION = {
    **{"host": _hosts, "hosts": _hosts, "image": _images, "keep": _vms},
    **{"pool": _pools, "network": _networks},
}
_OF_NAME = {"vm": _vms, "image": _images, "request": _vms}


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


def offer(parser: argparse.ArgumentParser, ask: Ask) -> None:
    """Answer a shell that asks how a command line goes on, and end; return if none asks.

    ``ask`` asks the client worker, that such a command line means, for its hosts.
    """
    if _ASKED in os.environ:
        with suppress(DependencyMissing):
            argcomplete = need("argcomplete")
            files = argcomplete.completers.FilesCompleter()
            argcomplete.autocomplete(parser, default_completer=Values(ask, files))


class Values:
    """Completes values, as argcomplete calls it: names that are known, and else files."""

    def __init__(self, ask: Ask, files: Callable[..., Iterable[str]]) -> None:
        self._ask = ask
        self._files = files

    def __call__(
        self,
        prefix: str,
        action: argparse.Action,
        parser: argparse.ArgumentParser,
        parsed_args: argparse.Namespace,
    ) -> Iterable[str]:
        of_host = _OF_OPTION.get(action.dest)
        if action.dest == "name":
            of_host = _OF_NAME[parser.prog.split()[1]]
        if of_host is None:
            return self._files(prefix=prefix, action=action, parser=parser, parsed_args=parsed_args)
        known = {name for status in self._known(parsed_args) for name in of_host(status)}
        return sorted(filter(_is_plain, known))

    def _known(self, asked: argparse.Namespace) -> Sequence[HostStatus]:
        """Return the hosts, none where it can't be told in time, or at all."""
        found: list[HostStatus] = []

        def fill() -> None:
            # Whatever is wrong, a command that is only being written must not be disturbed by it.
            with suppress(Exception):
                found.extend(self._ask(asked))

        # It may hang where no deadline reaches, at a name service for example. Nobody waits for its
        # end: argcomplete ends the process.
        asking = threading.Thread(target=fill, daemon=True)
        asking.start()
        asking.join(SECONDS)
        return tuple(found)


def _is_plain(name: str) -> bool:
    """Tell whether a name, which hosts make up, is but a word to any shell."""
    try:
        names.object_name(name)
    except NameInvalid:
        return False
    return True
