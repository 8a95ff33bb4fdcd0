# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of many vms by one command: all are accepted or none, and waited for together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..manage.group import MAX_VMS, Pattern
from ..manage.outcome import failure_of
from ..manage.tally import Tally
from ..model import errors
from ..model.errors import NameInvalid
from ..model.request import Request, new_request_id
from ..model.text import one_line
from ..verbs.clone import CloneSpec
from ..wire.client import Client
from . import text as cli_text
from .console import Console


def names(options: argparse.Namespace) -> list[str]:
    """Return the names that the command line gives, or the pattern and its count stand for."""
    given: list[str] = options.hostname
    if options.count is None:
        if options.first is not None:
            raise NameInvalid("--first goes with --count")
        return given
    if len(given) > 1:
        raise NameInvalid("--count goes with one --hostname, which is a pattern such as web%02d")
    if options.count > MAX_VMS:
        raise NameInvalid(f"--count {options.count} is more than {MAX_VMS}")
    pattern = Pattern.parse(given[0])
    first = 1 if options.first is None else options.first
    return [pattern.name(first + number) for number in range(options.count)]


def clone(
    client: Client, specs: Sequence[CloneSpec], options: argparse.Namespace, console: Console
) -> None:
    """Hand the clones in as a whole, and follow them. Raises what the first that failed has."""
    requests = client.submit_all([Request(new_request_id(), spec) for spec in specs])
    if not options.wait:
        console.show(requests, cli_text.request_table(requests))
        return
    ended = _follow(client, requests, options.timeout, console)
    failed = [
        (request, failure)
        for request in ended
        for failure in [failure_of(request, options.timeout)]
        if failure
    ]
    lost = {request.id for request, _failure in failed}
    done = [request for request in ended if request.id not in lost]
    console.show(ended, "".join(one_line(cli_text.outcome(request)) + "\n" for request in done))
    if failed:
        causes = "; ".join(f"{request.name}: {failure}" for request, failure in failed)
        text = f"{len(failed)} of {len(ended)} vms failed: {causes}"
        raise errors.from_code(failed[0][1].code, text)


def _follow(
    client: Client, requests: Sequence[Request], timeout: float, console: Console
) -> list[Request]:
    tally = Tally(console.say)
    tally.expect(requests)
    try:
        newest = client.wait_all([request.id for request in requests], timeout, tally)
    except KeyboardInterrupt:
        console.say(
            "the requests go on; `maglica request list` shows them, `maglica request cancel ID`"
            " stops one"
        )
        raise
    return [newest[request.id] for request in requests]
