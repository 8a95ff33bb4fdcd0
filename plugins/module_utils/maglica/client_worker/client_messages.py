# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients and observers ask; each handler returns the reply, or None when it comes later."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import (
    HostDown,
    HostUnknown,
    NameTaken,
    RequestCancelled,
    RequestConflict,
    RequestUnknown,
)
from ..model import CloneSpec, Failure, HostReport, HostStatus, Request, Spec, State, VmSpec
from ..placement import load, place
from ..wire import schema
from ..wire.message import Message
from .context import Call, Context, reply, shown
from .waits import Wait

logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 100


def submit(context: Context, call: Call) -> Message:
    """Accept a request, or find the one that is there already under this id or for this vm."""
    request_id, kind, spec = call.body["id"], call.body["kind"], call.body["spec"]
    repeated = context.requests.repeated(request_id, kind, spec)
    if repeated is not None:
        request, same = repeated
        if not same:
            raise RequestConflict(f"request {request_id} is there already, with other content")
        return reply(request)
    if isinstance(spec, CloneSpec):
        joined = _same_clone(context, spec)
        if joined is not None:
            context.requests.join(request_id, spec, joined)
            return reply(joined)
        host = place(spec, context.hosts.candidates).host
    else:
        host = _host_of(context, spec, kind.value)
    request = context.requests.add(Request(request_id, kind, spec, host=host, who=call.name))
    context.hosts.reserve(request)
    context.delivery.add(request.id, host)
    return reply(request)


def plan(context: Context, call: Call) -> Message:
    """Say where a clone would be made, and change nothing."""
    spec: CloneSpec = call.body["spec"]
    joined = _same_clone(context, spec)
    if joined is not None:
        # It is counted already.
        host = joined.host or ""
        return Message("placement", {"host": host, "load": load(context.hosts.candidates[host])})
    choice = place(spec, context.hosts.candidates)
    return Message("placement", {"host": choice.host, "load": choice.load})


def status(context: Context, call: Call) -> Message:
    return reply(_find(context, call.body["id"]))


def list_requests(context: Context, call: Call) -> Message:
    """List requests, the newest first; fewer than asked for when they would not fit a message."""
    limit = call.body.get("limit", DEFAULT_LIMIT)
    states = call.body.get("states") or tuple(State)
    found = context.requests.newest(states, limit, call.body.get("name"))
    listed, _other = schema.page(map(shown, found))
    return Message("requests", {"requests": listed})


def wait(context: Context, call: Call) -> Message | None:
    """Answer when the request is newer than the version that the client has."""
    request = _find(context, call.body["id"])
    version, timeout = call.body["version"], call.body["timeout"]
    if request.version > version or request.state.ended or not timeout:
        return reply(request)
    deadline = context.clock() + timeout
    context.waits.add(Wait(call.envelope, call.key, request.id, version, deadline))
    return None


def cancel(context: Context, call: Call) -> Message:
    """End a request that no host has seen; of any other tell its host, whose result will end it.

    A host without a key will never answer: its requests end at once, too.
    """
    request = _find(context, call.body["id"])
    if request.state.ended or request.cancelling:
        return reply(request)
    host = request.host or ""
    if request.state is State.QUEUED or not context.admits(host):
        text = (
            f"request {request.id} for {request.name} on host {host} was cancelled by {call.name}"
        )
        failure = Failure(RequestCancelled.code, text)
        return reply(context.requests.change(request, state=State.CANCELLED, failure=failure))
    logger.info("%s cancels request %s, %s on host %s", call.name, request.id, request.name, host)
    request = context.requests.change(request, cancelling=True)
    context.delivery.add(request.id, host)
    return reply(request)


def hosts(context: Context, call: Call) -> Message:
    """Show the hosts by name, from the one after ``after`` on, as many as fit."""
    names = [name for name in context.hosts.names() if name > call.body.get("after", "")]
    page, more = schema.page(_status(context, name) for name in names)
    if names and not page:
        # One host alone may have so many domains: what can be told of it is told.
        first = _status(context, names[0])
        report = replace(first.report, domains=())
        page, more = schema.page([replace(first, report=report)])[0], len(names) > 1
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


def _same_clone(context: Context, spec: CloneSpec) -> Request | None:
    """Return the open request that makes this very vm, if any.

    Raises NameTaken when the name is not free.
    """
    held = context.requests.clone_named(spec.name)
    if held is not None:
        if spec.host in (None, held.host) and _anywhere(held.spec) == _anywhere(spec):
            return held
        raise NameTaken(
            f"cannot clone {spec.name} from {spec.image}: request {held.id} of {held.who}"
            f" is making another vm of that name on host {held.host}"
        )
    owner = context.hosts.owner(spec.name)
    if owner is not None:
        raise NameTaken(
            f"cannot clone {spec.name} from {spec.image}: host {owner} has a domain of that name"
        )
    return None


def _anywhere(spec: Spec) -> Spec:
    return replace(spec, host=None) if isinstance(spec, CloneSpec) else spec


def _host_of(context: Context, spec: VmSpec, act: str) -> str:
    if not context.hosts.known(spec.host):
        raise HostUnknown(f"cannot {act} {spec.name}: no host {spec.host} is known")
    if not context.hosts.alive(spec.host):
        raise HostDown(
            f"cannot {act} {spec.name} on host {spec.host}: its host worker does not answer"
        )
    return spec.host
