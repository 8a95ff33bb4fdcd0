# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that a host knows and this journal does not: another one had them, and was lost.

The host tells them wholly, those that are under way with an ``ack``, those that have ended with
their ``result``. So they are known again, and nobody's repetition of one is done twice.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from ..model.errors import LimitExceeded, MessageInvalid, NameTaken
from ..model.moment import Moment
from ..model.request import Request, State
from ..verbs import table
from ..wire import features
from .state import Context, is_short, shown, size

logger = logging.getLogger(__name__)

# What one host may tell in this way, until the client worker is started anew: some 30,000 requests.
ROOM = 64 << 20


def adopt(context: Context, host: str, request_id: str, told: Request) -> Request:
    """Take a request in as its host tells it; return it as it is known from now on.

    Raises MessageInvalid if it can't be this host's, LimitExceeded, and NameTaken for a clone that
    is under way while another one of its name is, too.
    """
    if told.id != request_id or told.host != host or told.spec.host not in (None, host):
        raise MessageInvalid(f"request: not request {request_id} of host {host}")
    if not is_short(replace(told, phases=(), failure=None, vm=None)):
        raise MessageInvalid("request: too long to be shown")
    ended = told.state.ended
    held = context.requests.clone_named(told.name) if table.of(told).makes_vm else None
    if held is not None and not ended:
        raise NameTaken(
            f"request {told.id} to clone {told.name} on host {host} is not known here, and request"
            f" {held.id} makes a vm of that name on host {held.host}"
        )
    count(context, told)
    request = context.requests.adopt(_as_kept(told, Moment(context.wall())))
    context.strays.pop(request.id, None)
    if not ended:
        context.hosts.reserve(request)
    logger.info(
        "host %s has told of request %s, %s %s, %s, which was lost here",
        *(host, request.id, request.kind, request.name, request.state.value),
    )
    return request


def count(context: Context, told: Request) -> None:
    """Count what a host tells of a request that nobody else knows of. Raises LimitExceeded."""
    host = told.host or ""
    told_bytes = context.told_bytes[host] + size(shown(told, features.OWN))
    if told_bytes > ROOM:
        raise LimitExceeded(
            f"host {host} has told more of requests that are not known here than {ROOM >> 20} MiB"
        )
    context.told_bytes[host] = told_bytes


def _as_kept(told: Request, now: Moment) -> Request:
    """Return the request as the journal keeps it; a host's clock may be wrong.

    Its changes are counted anew: what is beyond the largest number could not be read again.
    """
    told = replace(told, version=1)
    created = Moment(min(told.created, now))
    if not told.state.ended:
        # Who has a peer may say of its vms how they are now: no host chooses its own.
        told = replace(told, peer=None)
        return replace(told, state=State.RUNNING, created=created, updated=now, cancelling=False)
    updated = Moment(min(max(told.updated, created), now))
    spec = told.spec.without_secrets()
    return replace(told, spec=spec, created=created, updated=updated, phase=None)
