# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts report. That a host speaks for itself only has been checked before."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..model.errors import AccessDenied, EntryUnreadable, MessageInvalid, RequestUnknown
from ..model.moment import NEVER, Moment
from ..model.request import Request, Spec, State
from ..model.vm import Domain, vm_uuid
from ..system.log_fields import about
from ..verbs import table
from ..verbs.verb import Leaves, OnVm
from ..wire import features, messages
from ..wire.frames import Message
from .adoption import adopt, count
from .state import (
    Call,
    Context,
    acknowledge,
    fits,
    for_host,
    may_be_told,
    waits_for_turn,
)

logger = logging.getLogger(__name__)

# An id in quotes, and a comma.
LISTED_BYTES = 39
OK = Message("ok", {})


def hello(context: Context, call: Call) -> Message:
    """Take in a host's report; answer with the open requests that it does not have.

    A report counts when all of it is there. Where two machines have the host's key, nothing of
    either counts, for nobody knows which of them is the host.
    """
    host = call.body["host"]
    worker = call.body.get("worker")
    # One that has just come does not know yet that it may say who it is.
    is_new = worker is None and features.WORKERS in call.features
    if not is_new:
        context.hosts.meet(host, worker, call.address, context.clock())
    context.hosts.workers.learn(host, call.features)
    conflict = context.hosts.workers.conflict(host)
    if conflict is not None and is_new:
        return Message("welcome", {"requests": [], "cancel": [], "everything": True})
    _refuse_two(context, host)
    report = context.hosts.reports.take(host, call.body)
    if report is not None and not call.body.get("more", False):
        context.hosts.hear(host, report, context.clock(), context.wall())
    held: dict[str, State] = {entry["id"]: entry["state"] for entry in call.body["requests"]}
    for request_id in [stray for stray, where in context.strays.items() if where == host]:
        del context.strays[request_id]
    for claim in [each for each in context.contested if each[0] == host and each[1] not in held]:
        del context.contested[claim]
    cancel = [
        request_id
        for request_id, state in held.items()
        if not state.ended and _compare(context, host, request_id)
    ]
    mine = context.requests.of_host(host)
    cancel += [request.id for request in mine if request.cancelling]
    # A full list may have left some out: then only what was never acknowledged is missing for sure.
    complete = len(held) < messages.MAX_LISTED
    missing = [
        request
        for request in mine
        if request.id not in held
        and (complete or request.state is not State.RUNNING)
        and not waits_for_turn(context, request)
        and may_be_told(context, request)
    ]
    cancel = cancel[: messages.MAX_LISTED]
    room = messages.PAGE_ROOM - len(cancel) * LISTED_BYTES
    sent = (
        for_host(_sent(context, request), call.features)
        for request in missing[: messages.MAX_LISTED]
    )
    welcome, _other = messages.page(sent, room)
    told: dict[str, Any] = {"requests": welcome, "cancel": cancel}
    if features.LOST_REQUESTS in call.features:
        told["journal"] = context.requests.journal_id
    is_waited_for = report is not None and host in context.hosts.expected
    if is_waited_for and _has_told_all(context, call, held):
        context.hosts.expected.told(host)
    return Message("welcome", told if report is not None else {**told, "everything": True})


def _has_told_all(context: Context, call: Call, held: Collection[str]) -> bool:
    """Tell whether nothing is left that this host knows and the journal does not.

    One that does not know of lost journals has told all that it ever will.
    """
    if call.body.get("more", False):
        return False
    if features.LOST_REQUESTS not in call.features:
        return True
    is_told = call.body.get("journal") == context.requests.journal_id
    complete = len(held) < messages.MAX_LISTED
    return is_told and complete and all(map(context.requests.standing, held))


def ack(context: Context, call: Call) -> Message:
    """Take in that a host has a request in its journal."""
    request = _mine(context, call)
    if not request.state.ended:
        acknowledge(context, request)
    return OK


def progress(context: Context, call: Call) -> Message:
    """Take in which phase a request is in and how long the phases before it took."""
    request = _mine(context, call)
    news: dict[str, Any] = {"phase": call.body["phase"], "phases": call.body["phases"]}
    news.update({name: call.body.get(name) for name in ("done", "total")})
    if request.state.ended:
        return OK
    if any(getattr(request, name) != value for name, value in news.items()):
        request = context.requests.change(request, state=State.RUNNING, **news)
    acknowledge(context, request)
    return OK


def result(context: Context, call: Call) -> Message:
    """Take in how a request ended; what is told again changes nothing."""
    request = _mine(context, call)
    if request.state.ended:
        return OK
    told = _end(request, call.body)
    if context.requests.is_claimed(request):
        count(context, replace(request, **told))
    ended = context.requests.change(request, **told)
    if ended.state is State.DONE:
        note(context, ended, call.body.get("ended", NEVER))
    return OK


def _end(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that has ended as a result says. Raises MessageInvalid."""
    _check_result(request, body)
    told: dict[str, Any] = {
        "state": body["state"],
        "phase": None,
        "done": None,
        "total": None,
        "phases": body.get("phases", request.phases),
        "failure": body.get("failure"),
    }
    return {**told, "vm": _vm_that_fits(replace(request, **told), body.get("vm"))}


def note(context: Context, done: Request, ended: Moment = NEVER) -> None:
    """Take in what was done to a vm, before the next report of its host says so.

    ``ended`` is when, by the host's clock.
    """
    spec, now = done.spec, context.clock()
    leaves = table.of(spec).leaves
    if done.vm is not None and leaves is not Leaves.GONE:
        context.hosts.left(done.vm, ended, now)
    if not isinstance(spec, OnVm):
        return
    if leaves is Leaves.GONE or (done.vm is not None and done.vm.host != spec.host):
        context.hosts.removed(spec.host, spec.uuid, now, ended)
    elif leaves is Leaves.STOPPED:
        context.hosts.stopped(spec.host, spec.uuid)
    if spec.new_memory_mib is not None:
        context.hosts.resized(spec.host, spec.uuid, spec.new_memory_mib)


def _refuse_two(context: Context, host: str) -> None:
    """Raise AccessDenied where two machines have the key of a host; it tells them again later."""
    conflict = context.hosts.workers.conflict(host)
    if conflict is not None:
        context.rejects["two_hosts"] += 1
        raise AccessDenied(conflict)


def _compare(context: Context, host: str, request_id: str) -> bool:
    """Note that the host has this request under way; tell whether it must drop it."""
    # Of what has ended no more is looked at: a host may name a thousand that it has made long.
    found = context.requests.standing(request_id)
    if found is None:
        # Nobody takes away what another one has said to have.
        context.strays.setdefault(request_id, host)
        return False
    own_id, where, state = found
    if where != host:
        return _is_of_another(context, host, request_id)
    if own_id in context.requests.open:
        acknowledge(context, context.requests.open[own_id])
    return state == State.CANCELLED.value


def _is_of_another(context: Context, host: str, request_id: str) -> bool:
    """Tell whether a host must drop a request that it has under way, and that is another host's."""
    if (host, request_id) in context.contested:
        return False
    try:
        request = context.requests.get(request_id)
    except EntryUnreadable:
        # It goes on with it: what was meant to become of it can't be told.
        return False
    if request is None:
        return False
    # Placed again, after a journal was lost: of the two vms one is too many. But no host loses its
    # work by the word of another one, which may be a lie.
    is_claimed = context.requests.is_claimed(request)
    if is_claimed:
        _contest(context, host, request)
    return not is_claimed


def _contest(context: Context, host: str, request: Request) -> None:
    """Say that two hosts have this request, if that is news."""
    if (host, request.id) in context.contested:
        return
    text = (
        f"hosts {request.host} and {host} both say that request {request.id} ({request.kind}"
        f" {request.name}) is theirs. It counts as that of {request.host}, which said so first, and"
        f" {host} goes on with it: see on both what there is of {request.name}"
    )
    context.contested[host, request.id] = text
    with about(request):
        logger.warning("%s", text)


def _sent(context: Context, request: Request) -> Request:
    if request.state is State.QUEUED:
        request = context.requests.change(request, state=State.SENT, phase=None)
    context.delivery.published(request.id, context.clock())
    return request


def _mine(context: Context, call: Call) -> Request:
    host, request_id = call.body["host"], call.body["id"]
    _refuse_two(context, host)
    request = context.requests.get(request_id)
    told: Request | None = call.body.get("request")
    if request is None and told is not None:
        if "state" in call.body:
            ended = call.body.get("ended", told.updated)
            told = replace(told, updated=ended, **_end(told, call.body))
        else:
            # How it ended, its result will say.
            told = replace(told, state=State.RUNNING)
        request = adopt(context, host, request_id, told)
    if request is None:
        raise RequestUnknown(f"no request {request_id} is known")
    if request.host != host:
        context.rejects["other_host"] += 1
        raise AccessDenied(f"request {request_id} is not for host {host}")
    return request


def _vm_that_fits(ended: Request, vm: Domain | None) -> Domain | None:
    """Return as much of a vm as can be shown with its request.

    Texts that came in one message can take three times the room when they are escaped in a reply.
    """
    if vm is None or fits(replace(ended, vm=vm)):
        return vm
    with about(ended):
        logger.warning("request %s: of its vm only a part is kept: it is too long", ended.id)
    return replace(vm, interfaces=(), disks=(), ssh_host_keys=(), foreign_disks=())


def _check_result(request: Request, body: dict[str, Any]) -> None:
    state, failure, vm = body["state"], body.get("failure"), body.get("vm")
    if not state.ended:
        raise MessageInvalid(f"result.state: {state.value} is not the end of a request")
    if state is State.FAILED and failure is None:
        raise MessageInvalid("result.failure: missing, though the request has failed")
    # With a peer, the vm may be there now.
    where = {request.host, request.peer or request.host}
    if vm is not None and (vm.host not in where or vm.name != request.name):
        hosts = " or ".join(sorted(filter(None, where)))
        raise MessageInvalid(f"result.vm: not {request.name} on host {hosts}")
    if state is not State.DONE:
        return
    if table.of(request).makes_vm:
        if vm is None or vm.uuid != vm_uuid(request.id):
            raise MessageInvalid("result.vm: not the vm that this request makes")
    # What it says counts at once: it must say nothing of other vms, least of those of the peer.
    elif vm is not None and vm.uuid != _uuid(request.spec):
        raise MessageInvalid("result.vm: not the vm that this request is about")


def _uuid(spec: Spec) -> str | None:
    return spec.uuid if isinstance(spec, OnVm) else None
