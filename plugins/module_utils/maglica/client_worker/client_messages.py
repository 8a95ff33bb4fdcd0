# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients and observers ask; each handler returns the reply, or None when it comes later."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..model.errors import RequestCancelled, RequestUnknown
from ..model.plain import plain
from ..model.request import Failure, HostReport, HostStatus, Request, State
from ..wire import messages
from ..wire.fitting import fitting
from ..wire.frames import Message
from .admission import accept, foresee
from .state import Call, Context, replies, reply, size
from .waits import Wait

logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 100
# What one answer to a question has at most, but for a single entry that is longer; the rest is
# asked for by itself. So no question takes long, and answers that nobody reads take little memory.
SHOWN_AT_ONCE = 100
ANSWER_ROOM = 64 << 10
# What a host's status has besides its report.
_STATUS_MARGIN = 1024


def submit(context: Context, call: Call) -> Message:
    """Accept a request, or find the one that is there already under this id or for this vm."""
    return reply(accept(context, [call.body], call.name)[0])


def submit_all(context: Context, call: Call) -> Message:
    """Accept a list of requests, or none of them; show as many of them as fit."""
    accepted = accept(context, call.body["requests"], call.name)
    return replies(accepted)


def plan(context: Context, call: Call) -> Message:
    """Say where a clone would be made, and change nothing."""
    return Message("placement", plain(foresee(context, [call.body["spec"]])[0]))


def plan_all(context: Context, call: Call) -> Message:
    """Say where each of a list of clones would be made, and change nothing."""
    return Message("placements", {"placements": plain(foresee(context, call.body["specs"]))})


def status(context: Context, call: Call) -> Message:
    return reply(_find(context, call.body["id"]))


def list_requests(context: Context, call: Call) -> Message:
    """List requests, the newest first; fewer than asked for when an answer has no more room."""
    asked = call.body.get("limit", DEFAULT_LIMIT)
    limit = min(asked, SHOWN_AT_ONCE)
    states = call.body.get("states") or tuple(State)
    name, before = call.body.get("name"), call.body.get("before")
    found = context.requests.newest(states, limit, name, before)
    return replies(found, more=limit < asked and len(found) == limit, room=ANSWER_ROOM)


def wait(context: Context, call: Call) -> Message | None:
    """Answer when the request is newer than the version that the client has."""
    request = _find(context, call.body["id"])
    seen = call.body["version"]
    if _is_news(request, seen) or not call.body["timeout"]:
        return reply(request)
    _wait(context, call, {request.id: seen}, many=False)
    return None


def wait_all(context: Context, call: Call) -> Message | None:
    """Answer with those of some requests that are newer than the versions that the client has.

    Those that have ended are news each time and lie in the journal: no more of them are looked up
    at once than an answer has room for, and each once, however often it is asked for.
    """
    asked: dict[str, int] = {}
    for entry in call.body["requests"]:
        asked[entry["id"]] = min(entry["version"], asked.get(entry["id"], entry["version"]))
    versions: dict[str, int] = {}
    news: dict[str, Request] = {}
    room = ANSWER_ROOM
    for request_id, seen in asked.items():
        if len(news) == SHOWN_AT_ONCE or room < 0:
            return replies(news.values(), more=True, room=ANSWER_ROOM)
        request = _find(context, request_id)
        # Two ids may stand for one request, which is news if it is so to one of them.
        versions[request.id] = min(seen, versions.get(request.id, seen))
        if _is_news(request, versions[request.id]) and request.id not in news:
            news[request.id] = request
            room -= size(request)
    if news or not versions or not call.body["timeout"]:
        return replies(news.values(), room=ANSWER_ROOM)
    _wait(context, call, versions, many=True)
    return None


def _is_news(request: Request, seen: int) -> bool:
    return request.version > seen or request.state.ended


def _wait(context: Context, call: Call, versions: dict[str, int], many: bool) -> None:
    deadline = context.clock() + call.body["timeout"]
    context.waits.add(Wait(call.envelope, call.key, versions, deadline, many))


def cancel(context: Context, call: Call) -> Message:
    """End a request that no host has seen; of any other tell its host, whose result will end it.

    A host without a key will never answer: its requests end at once, too.
    """
    request = _find(context, call.body["id"])
    if request.state.ended:
        return reply(request)
    host = request.host or ""
    if request.state is State.QUEUED or not context.admits(host):
        text = (
            f"request {request.id} for {request.name} on host {host} was cancelled by {call.name}"
        )
        failure = Failure(RequestCancelled.code, text)
        return reply(context.requests.change(request, state=State.CANCELLED, failure=failure))
    if request.cancelling:
        return reply(request)
    logger.info("%s cancels request %s, %s on host %s", call.name, request.id, request.name, host)
    request = context.requests.change(request, cancelling=True)
    context.delivery.add(request.id, host)
    return reply(request)


def hosts(context: Context, call: Call) -> Message:
    """Show the hosts by name, from the one after ``after`` on, as many as fit."""
    names = [name for name in context.hosts.names() if name > call.body.get("after", "")]
    page, more = messages.page((_status(context, name) for name in names), ANSWER_ROOM)
    if names and not page:
        # One host alone may have so many domains: what can be told of it is told.
        first = _status(context, names[0])
        report = fitting(first.report, messages.PAGE_ROOM - _STATUS_MARGIN)
        page, more = messages.page([replace(first, report=report)])[0], len(names) > 1
    return Message("hosts", {"hosts": page, "more": more})


def _status(context: Context, name: str) -> HostStatus:
    candidate = context.hosts.candidates[name]
    report = candidate.holdings.report if candidate.holdings else HostReport()
    seen = context.hosts.seen(name)
    return HostStatus(name, candidate.alive, seen, candidate.weight, report)


def _find(context: Context, request_id: str) -> Request:
    request = context.requests.get(request_id)
    if request is None:
        raise RequestUnknown(f"no request {request_id} is known")
    return request
