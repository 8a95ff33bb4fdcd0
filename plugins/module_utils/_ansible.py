# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that ask the cloud share: pieces of their argument specs, and how a module tells
the action plugin of its progress.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from ._progress import PROGRESS_VARIABLE
from .maglica.config import chosen
from .maglica.config.config import Config
from .maglica.fleet.source import Access, Source
from .maglica.manage import amount, shown
from .maglica.manage.tally import Hosts, Quiet, Tally
from .maglica.model.errors import ConfigInvalid
from .maglica.model.request import Request
from .maglica.model.text import one_line

# Seconds.
_PATIENCE = 0.2
# What the options that say a time may be at least, and at most.
_TIMES = {"client_worker_timeout": 0.01, "host_timeout": 0.01, "wait_timeout": 0}
_LONGEST = 10_000_000
# So many vms at once have a line for each change.
_FEW = 4


def where_spec() -> dict[str, dict[str, Any]]:
    """Return the options of the documentation fragment maglica.cloud.where."""
    return {
        "config": {"type": "path"},
        "client_worker": {"type": "str"},
        "client_worker_key": {"type": "str", "no_log": False},
        "key_file": {"type": "path", "no_log": False},
        "key": {"type": "str", "no_log": True},
    }


def connection_spec() -> dict[str, dict[str, Any]]:
    """Return the options of the documentation fragments maglica.cloud.where and .connection."""
    return {
        **where_spec(),
        "source": source_option(),
        "client_worker_timeout": {"type": "float", "default": 5.0},
        "host_timeout": {"type": "float", "default": 10.0},
        "auth_file": {"type": "path"},
    }


def source_option() -> dict[str, Any]:
    """Return the option of the documentation fragment maglica.cloud.listing.source."""
    choices = [source.value for source in Source]
    return {"type": "str", "choices": choices, "default": Source.AUTO.value}


def access(parameters: Mapping[str, Any]) -> Access:
    """Return how a module's options say that hosts are looked at. Raises as ``load_config``."""
    return Access(
        load_config(parameters),
        Source(parameters["source"]),
        timeout=parameters["host_timeout"],
        auth_file=parameters["auth_file"],
        parallel=parameters.get("parallel", 0),
        reply_timeout=parameters["client_worker_timeout"],
    )


def load_config(parameters: Mapping[str, Any]) -> Config:
    """Return the configuration that a module's options say or name.

    Raises ConfigInvalid, also when a time that they say is none that can be waited for.
    """
    for option, low in _TIMES.items():
        seconds = parameters.get(option, low)
        if not low <= seconds <= _LONGEST:
            raise ConfigInvalid(
                f"{option}: {one_line(str(seconds)[:40])} is not a number of seconds from {low} to"
                f" {_LONGEST}"
            )
    return chosen.find({name: parameters[name] for name in chosen.VARIABLES})


class Listener:
    """The action plugin that listens, if there is one and it is on this machine."""

    def __init__(self) -> None:
        self._address = os.environ.get(PROGRESS_VARIABLE)
        self._news = amount.News()

    def tell(self, request: Request) -> None:
        """Tell it how a request stands, if that is news."""
        if self._news.has(request):
            told = {"name": request.name, "amount": amount.words(request)}
            self._send({**told, **shown.of_request(request)})

    def say(self, text: str) -> None:
        """Have it print a line."""
        self._send({"text": text})

    def quiet(self, client: Hosts) -> Quiet:
        """Return what has it print of which hosts nothing is heard."""
        return Quiet(client, self.say)

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE)
                sender.sendto(json.dumps(message).encode(), self._address)
        except TimeoutError:
            # It is behind with its printing, which is no reason to wait for it.
            pass
        except OSError:
            # Nobody is listening, as when the task runs asynchronously: only the show is lost.
            self._address = None


class Progress:
    """Keeps the newest state of a module's request, and tells the action plugin each change."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.listener = Listener()

    def __call__(self, request: Request) -> None:
        self.request = request
        self.listener.tell(request)

    def seen(self) -> dict[str, Any]:
        """Return the request for the module's result, if there is one."""
        return {"request": shown.of_request(self.request)} if self.request else {}


class ManyProgress:
    """Tells the action plugin of many requests: each change of a few, how many are how far of more.

    ``verbose``: each change of any number.
    """

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self.listener = Listener()
        self._tally = Tally(self.listener.say)
        self._each = True

    def submitted(self, requests: Sequence[Request]) -> None:
        """Take in requests that were handed in together."""
        self._each = self._verbose or len(requests) <= _FEW
        if self._each:
            for request in requests:
                self.listener.tell(request)
        else:
            self._tally.expect(requests)

    def __call__(self, request: Request) -> None:
        if self._each:
            self.listener.tell(request)
        else:
            self._tally(request)
