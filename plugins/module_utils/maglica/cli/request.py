# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica request``: what was asked of hosts."""

from __future__ import annotations

import argparse

from ..manage.outcome import ended_with
from ..model.request import Request, State
from . import as_json, options, text
from .console import Cloud, Console
from .follow import Follow


def add_commands(group: options.Group) -> None:
    listing = group.add("list", list_requests, "list requests, the newest first")
    listing.add_argument(
        "--state",
        action="append",
        default=[],
        choices=[state.value for state in State],
        help="only those in this state; may be given again",
    )
    listing.add_argument("--name", type=options.given, help="only those about this vm")
    listing.add_argument(
        "--limit", type=options.positive, default=100, metavar="N", help="at most N (default: 100)"
    )
    for name, run, what in (
        ("show", show, "show all about a request"),
        ("cancel", cancel, "cancel a request and undo what it did"),
        ("wait", wait, "follow a request until it has ended"),
    ):
        parser = group.add(name, run, what)
        parser.add_argument("id", metavar="ID", type=options.request_id, help="the request's id")
        if run is cancel:
            options.wait(parser)
        elif run is wait:
            options.timeout(parser)


def list_requests(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    states = [State(state) for state in asked.state]
    requests = cloud.client.list(states, asked.limit, name=asked.name)
    console.show(list(map(as_json.request, requests)), text.request_table(requests))


def show(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    request = cloud.client.status(asked.id)
    console.show(as_json.request(request), text.request_text(request))


def cancel(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    request = cloud.client.cancel(asked.id)
    if asked.wait and not request.state.ended:
        request = _ended(cloud, request, asked.timeout, console)
    told = request.state.value if request.state.ended else "being cancelled"
    console.show(as_json.request(request), f"request {request.id} is {told}\n")


def wait(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    request = _ended(cloud, cloud.client.status(asked.id), asked.timeout, console)
    if request.state is State.DONE or console.as_json:
        console.show(as_json.request(request), text.outcome(request))
    error = ended_with(request)
    if error is not None:
        raise error


def _ended(cloud: Cloud, request: Request, timeout: float, console: Console) -> Request:
    """Wait for the request's end and say what happens until then."""
    follow = Follow(console, cloud.client)
    with follow.followed():
        return cloud.client.wait(request.id, timeout, follow, follow.quiet)
