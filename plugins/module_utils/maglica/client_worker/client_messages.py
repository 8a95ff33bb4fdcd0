# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients and observers ask; each handler returns the reply, or None when it comes later."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..model.errors import (
    EntryUnreadable,
    MaglicaError,
    MessageInvalid,
    RequestCancelled,
    RequestUnknown,
)
from ..model.moment import Moment
from ..model.plain import plain
from ..model.request import Failure, HostReport, HostStatus, Request, State
from ..model.text import MAX_NAMED, short, told
from ..model.worker import ClientWorkerStatus
from ..system import version
from ..system.log_fields import about
from ..wire import features, messages
from ..wire.frames import Message
from .admission import accept, foresee
from .state import Answer, Call, Context
from .waits import Tail, Wait

logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 100
# What one answer to a question has at most, but for a single entry that is longer; the rest is
# asked for by itself. So no question takes long, and answers that nobody reads take little memory.
SHOWN_AT_ONCE = 100
ANSWER_ROOM = 64 << 10
# Characters of a problem of the client worker itself.
_PROBLEM = 500


def submit(context: Context, call: Call) -> Message:
    """Accept a list of requests, or none of them; show as many of them as fit.

    A dry run says where each would be done instead, and changes nothing.
    """
    entries = call.body["requests"]
    if call.body.get("dry_run", False):
        return Message("placements", {"placements": plain(foresee(context, entries))})
    return _shown(Answer(call.features), accept(context, entries, call.name))


def status(context: Context, call: Call) -> Message:
    """Show requests, and of those that are unknown or can't be read that they are."""
    answer = short_answer(call.features)
    for request_id in dict.fromkeys(call.body["ids"]):
        answer.more = answer.is_full()
        if answer.more:
            break
        found = _found(context, request_id)
        there = (
            answer.add(found) if isinstance(found, Request) else answer.refuse(request_id, found)
        )
        if not there:
            break
    return answer.message()


def list_requests(context: Context, call: Call) -> Message | None:
    """List requests, the newest first; with ``after``, those that have changed since, in the order
    of their changes, and wait for the first of them if there is none.
    """
    asked = call.body.get("limit", DEFAULT_LIMIT)
    limit = min(asked, SHOWN_AT_ONCE)
    states = frozenset(call.body.get("states") or State)
    name, before, after = (call.body.get(field) for field in ("name", "before", "after"))
    wait_s = call.body.get("wait_s", 0)
    if after is not None:
        if before is not None:
            raise MessageInvalid("list.before: not together with after")
        # After a journal was lost they are counted anew.
        seen = after if after <= context.requests.revision else 0
        tail = Tail(states, name, seen, limit)
        answer = tail_answer(context, tail, call.features)
        if answer.requests or not wait_s:
            return answer.message()
        _wait(context, call, {}, tail)
        return None
    if wait_s:
        raise MessageInvalid("list.wait_s: only together with after")
    if before is not None:
        # Its own id, of one that has joined.
        before = _known(context, before).id
    answer = short_answer(call.features, context.requests.revision)
    shown = 0
    for request in context.requests.newest(states, limit, name, before):
        if not answer.add(request):
            return answer.message()
        shown += 1
    answer.more = limit < asked and shown == limit
    return answer.message()


def tail_answer(context: Context, tail: Tail, known: frozenset[str]) -> Answer:
    """Return the answer to a list of what has changed, as it is now."""
    after = tail.after
    answer = short_answer(known, context.requests.revision)
    changes = context.requests.changed_since(after, tail.states, tail.limit + 1, tail.name)
    for revision, request in changes:
        if len(answer.requests) == tail.limit or not answer.add(request):
            answer.more = True
            break
        after = revision
    if answer.more:
        answer.revision = after
    return answer


def wait(context: Context, call: Call) -> Message | None:
    """Answer with those of some requests that are newer than the versions that the client has.

    Those that have ended are news each time and lie in the journal: no more of them are looked up
    at once than an answer has room for, and each once, however often it is asked for.
    """
    asked: dict[str, int] = {}
    for entry in call.body["requests"]:
        asked[entry["id"]] = min(entry["version"], asked.get(entry["id"], entry["version"]))
    versions: dict[str, int] = {}
    told: set[str] = set()
    answer = short_answer(call.features)
    for request_id, seen in asked.items():
        answer.more = answer.is_full()
        if answer.more:
            break
        request = _found(context, request_id)
        if not isinstance(request, Request):
            if not answer.refuse(request_id, request):
                break
            continue
        # Two ids may stand for one request, which is news if it is so to one of them.
        versions[request.id] = min(seen, versions.get(request.id, seen))
        if request.id in told or not _is_news(request, versions[request.id]):
            continue
        if not answer.add(request):
            break
        told.add(request.id)
    if told or answer.errors or not versions or not call.body["wait_s"]:
        return answer.message()
    _wait(context, call, versions)
    return None


def _is_news(request: Request, seen: int) -> bool:
    return request.version > seen or request.state.ended


def _wait(context: Context, call: Call, versions: dict[str, int], tail: Tail | None = None) -> None:
    deadline = context.clock() + call.body["wait_s"]
    context.waits.add(Wait(call.envelope, call.key, versions, deadline, call.features, tail))


def cancel(context: Context, call: Call) -> Message:
    """Cancel requests; show as many of them as fit."""
    answer = Answer(call.features)
    for request_id in dict.fromkeys(call.body["ids"]):
        request = _found(context, request_id)
        if isinstance(request, Request):
            answer.add(_cancel(context, call.name, request))
        else:
            answer.refuse(request_id, request)
    return answer.message()


def _cancel(context: Context, who: str, request: Request) -> Request:
    """End a request that no host has seen; of any other tell its host, whose result will end it.

    A host without a key will never answer: its requests end at once, too.
    """
    host = request.host or ""
    if request.state.ended:
        return request
    if request.state is State.QUEUED or not context.admits(host):
        text = f"request {request.id} for {request.name} on host {host} was cancelled by {who}"
        failure = Failure(RequestCancelled.code, text)
        return context.requests.change(request, state=State.CANCELLED, failure=failure)
    if request.cancelling:
        return request
    with about(request):
        logger.info("%s cancels request %s, %s on host %s", who, request.id, request.name, host)
    request = context.requests.change(request, cancelling=True)
    context.delivery.add(request.id, host)
    return request


def short_answer(known: frozenset[str], revision: int | None = None) -> Answer:
    """Return an empty answer to a question, to be filled for a peer that knows these features."""
    return Answer(known, ANSWER_ROOM, SHOWN_AT_ONCE, revision=revision)


def _shown(answer: Answer, requests: Iterable[Request]) -> Message:
    for request in requests:
        if not answer.add(request):
            break
    return answer.message()


def _known(context: Context, request_id: str) -> Request:
    found = _found(context, request_id)
    if not isinstance(found, Request):
        raise found
    return found


def _found(context: Context, request_id: str) -> Request | MaglicaError:
    """Return a request, or why there is none to be shown."""
    try:
        request = context.requests.get(request_id)
    except EntryUnreadable as error:
        return error
    return request or RequestUnknown(f"no request {request_id} is known")


def hosts(context: Context, call: Call) -> Message:
    """Show the hosts by name, from the one after ``after`` on, as many as fit.

    The first page has what is to be said of the client worker itself.
    """
    own = {} if "after" in call.body else _of_itself(context, call.features)
    names = [name for name in context.hosts.names() if name > call.body.get("after", "")]
    asked = names[:SHOWN_AT_ONCE]
    told = (features.known_to(call.features, _status(context, name)) for name in asked)
    page, more = messages.page(told, ANSWER_ROOM)
    more = more or len(asked) < len(names)
    if names and not page:
        # One host alone may have so many domains: what can be told of it is told.
        page = [features.known_to(call.features, _status(context, names[0]))]
        more = len(names) > 1
    return Message("hosts", {"hosts": page, "more": more, **own})


def _of_itself(context: Context, known: frozenset[str]) -> dict[str, Any]:
    """Return what the client worker says of itself to somebody who knows these features."""
    if features.WORKERS not in known:
        return {}
    of_hosts = (*context.hosts.workers.conflicts(), *context.hosts.expected.complaints())
    spoilt = context.requests.complaints()
    problems = filter(None, (context.complaint(), *spoilt, *of_hosts, *context.contested.values()))
    shown = tuple(short(told(problem), _PROBLEM) for problem in problems)[:MAX_NAMED]
    return {"client_worker": plain(ClientWorkerStatus(version.own(), shown))}


def _status(context: Context, name: str) -> dict[str, Any]:
    """Return a host's HostStatus as JSON can hold it."""
    candidate, seen = context.hosts.candidates[name], context.hosts.seen(name)
    heard = Moment(seen) if seen else None
    report, version = context.hosts.shown(name), context.hosts.workers.version(name)
    if not context.admits(name):
        # As it is while requests for it are open.
        report = replace(
            report,
            problem="it has no key in the access file any more: cancel the requests that are open"
            " for it, or run maglica.cloud.deploy for it again",
        )
    status = HostStatus(name, candidate.alive, heard, candidate.weight, HostReport(), version)
    return {**plain(status), "report": json.loads(context.hosts.reports.text(name, report))}
