# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that a host sends, from its values; pure."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ...model.plain import plain
from ...model.reported import PoolState
from ...model.request import (
    BaseSummary,
    DomainSummary,
    Failure,
    HostReport,
    ImageSummary,
    Leftover,
    Phase,
    PoolSummary,
    Request,
    State,
)
from ...model.text import can_be_shown, to_tell, told
from ...wire import features, records
from ...wire.frames import Message
from ...wire.records import MAX_NAME, MAX_TITLE

_log = logging.getLogger(__name__)

_Told = TypeVar(
    "_Told", HostReport, DomainSummary, PoolSummary, PoolState, BaseSummary, ImageSummary, Leftover
)
_COUNTS = frozenset({"cpus", "vcpus", "vms", "versions"})
# What the schema allows in one message.
MAX_PHASES = records.MAX_PHASES
MAX_DOMAINS = records.MAX_DOMAINS


def allowed(report: HostReport) -> HostReport:
    """Return a report whose fields the schema accepts, whatever names there are on the host.

    Names of more or other characters than a message may have are escaped or cut, and numbers that
    are larger, such as the size of a bucket that is mounted, are the largest that it may have; of
    more domains than it may have, the images come first.
    """
    domains = report.domains
    if len(domains) > MAX_DOMAINS:
        _log.warning("of %d domains only %d are told", len(domains), MAX_DOMAINS)
        domains = tuple(sorted(domains, key=lambda domain: not domain.is_image))[:MAX_DOMAINS]
    problem = report.problem
    return replace(
        _bounded(report),
        domains=tuple(
            replace(_bounded(each), name=_shown(each.name, MAX_TITLE)) for each in domains
        ),
        pools=tuple(
            replace(
                _bounded(each),
                name=_shown(each.name, MAX_NAME),
                shared=each.shared and _shown(each.shared, records.MAX_TYPE),
            )
            for each in report.pools[: records.MAX_POOLS]
        ),
        networks=tuple(_shown(name, MAX_NAME) for name in report.networks[: records.MAX_NETWORKS]),
        bases=tuple(
            replace(
                _bounded(each),
                image=_shown(each.image, MAX_NAME),
                pool=_shown(each.pool, MAX_NAME),
            )
            for each in report.bases[: records.MAX_BASES]
        ),
        looks=tuple(
            replace(
                each,
                image=_shown(each.image, MAX_TITLE),
                reason=None if each.reason is None else told(each.reason),
                distro=_shown(each.distro, records.MAX_TYPE),
                release=_shown(each.release, records.MAX_TYPE),
                stack=_shown(each.stack, MAX_TITLE),
                layout=_shown(each.layout, MAX_TITLE),
            )
            for each in report.looks[: records.MAX_LOOKS]
        ),
        images=tuple(
            replace(_bounded(each), name=_shown(each.name, MAX_TITLE), origin=_origin(each))
            for each in report.images[: records.MAX_IMAGES]
        ),
        leftovers=tuple(
            _bounded(each) for each in report.leftovers[: records.MAX_LEFTOVERS] if _is_told(each)
        ),
        problem=None if problem is None else told(problem),
        uri=report.uri and _shown(report.uri, records.MAX_ORIGIN),
        hostname=report.hostname and _shown(report.hostname, MAX_NAME),
        libvirt_error=report.libvirt_error and told(report.libvirt_error),
        pool_states=tuple(
            replace(_bounded(each), name=_shown(each.name, MAX_NAME))
            for each in report.pool_states[: records.MAX_POOLS]
        ),
        problems=tuple(
            _shown(each, records.MAX_PROBLEM) for each in report.problems[: records.MAX_PROBLEMS]
        ),
    )


def _bounded(told: _Told) -> _Told:
    """Return ``told`` with no number that is larger than a message may have it."""
    cut: dict[str, Any] = {}
    for name, value in vars(told).items():
        most = records.MAX_COUNT if name in _COUNTS else records.MAX_AMOUNT
        if isinstance(value, int) and value > most:
            cut[name] = most
    return replace(told, **cut)


def _is_told(leftover: Leftover) -> bool:
    """Tell whether a leftover can be told as it is; with an escaped name its command were wrong."""
    names = (leftover.path, leftover.pool or "")
    return all(map(can_be_shown, names)) and len(leftover.path) <= records.MAX_PATH


def _origin(image: ImageSummary) -> str | None:
    return None if image.origin is None else _shown(image.origin, records.MAX_ORIGIN)


def _shown(text: str, limit: int) -> str:
    return to_tell(text)[:limit]


def ack(
    host: str, request_id: str, whole: Request | None = None, known: Collection[str] = ()
) -> Message:
    """Return that a request is committed to the host's journal.

    ``whole``: with the request itself, for a client worker that does not know it, but these
    features.
    """
    return Message("ack", {"host": host, "id": request_id, **_whole(whole, known)})


def progress(
    host: str,
    request_id: str,
    phase: str,
    phases: Sequence[Phase],
    counts: tuple[int, int] | None = None,
) -> Message:
    """Return which phase a request is in, and those that are over.

    ``counts``: how much of the phase is done, of how much, for a client worker that knows of that.
    """
    told = plain(phases[-MAX_PHASES:])
    body = {"host": host, "id": request_id, "phase": phase, "phases": told}
    if counts is not None:
        body.update(done=counts[0], total=counts[1])
    return Message("progress", {key: plain(value) for key, value in body.items()})


def _whole(request: Request | None, known: Collection[str]) -> dict[str, Any]:
    """Return the field that has a request as it was accepted; what came of it is told beside it."""
    if request is None:
        return {}
    asked = replace(
        request,
        phase=None,
        phases=(),
        cancelling=False,
        failure=None,
        vm=None,
        done=None,
        total=None,
    )
    others = frozenset(known) - {features.PROGRESS_COUNTS}
    return {"request": features.known_to(others, plain(asked))}


def result(
    host: str, request: Request, is_whole: bool = False, known: Collection[str] = ()
) -> Message:
    """Return how a request of the journal ended, for a client worker that knows these features;
    ``is_whole``: with the request itself.
    """
    body = {
        "host": host,
        "id": request.id,
        "state": request.state,
        "phases": request.phases[-MAX_PHASES:],
        "failure": request.failure,
        "vm": request.vm,
        "ended": request.updated,
    }
    told = {key: plain(value) for key, value in body.items()}
    if told["vm"] is not None:
        told["vm"] = features.domain_known_to(known, told["vm"])
    return Message("result", {**told, **_whole(request if is_whole else None, known)})


def refused(
    host: str, request: Request, is_whole: bool = False, known: Collection[str] = ()
) -> Message:
    """Return that a request ended, in place of a result that the client worker has refused.

    The vm can be another one than was asked for, when others have renamed it meanwhile.
    """
    told = replace(request, vm=None, phases=())
    if request.state is State.DONE:
        text = (
            f"{request.kind} {request.name} on host {host} is done, but the client worker"
            " refuses its result; the host worker's log says why"
        )
        told = replace(told, state=State.FAILED, failure=Failure("error", text))
    return result(host, told, is_whole, known)
