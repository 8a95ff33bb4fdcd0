# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes requests in, all of a list or none: first all are looked at and placed, then all are kept.

Until the last one has its place nothing is changed, so that a list which is refused leaves nothing
behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..model.errors import (
    AgainRefused,
    HostDown,
    HostUnknown,
    MaglicaError,
    MessageInvalid,
    NameTaken,
    NoRoom,
    NotReady,
    RequestConflict,
    RequestUnknown,
    UuidTwice,
)
from ..model.request import Placement, Request, Spec, State
from ..model.text import some
from ..verbs import table
from ..verbs.clone import CloneSpec
from ..verbs.verb import Leaves, OnVm, Takes
from . import learning
from .known.expected import GIVE_UP_SECONDS
from .placement import networks, pools, processors, versions
from .placement.candidates import Candidate, Choice
from .placement.choose import place_all
from .placement.memory import check_size, load, start
from .state import MAX_REQUEST, Context, is_short, waits_for_turn


@dataclass(frozen=True)
class _Seen:
    """What would become of a list of requests: those that are ``there`` already, by repetition or
    because an equal one is open, and the ``new`` ones, each with its host and, of clones, the load;
    the ``makers`` of some of these say that they have them.
    """

    there: Mapping[str, Request]
    joined: Mapping[str, Request]
    new: Sequence[Request]
    places: Sequence[Placement]
    starts: Mapping[str, int]
    makers: Mapping[str, str]


def accept(context: Context, entries: Sequence[Mapping[str, Any]], who: str) -> list[Request]:
    """Return the request of each entry, a submission: accepted, repeated or joined.

    Raises, with nothing changed, what stands against one of them; the text names its vm.
    """
    try:
        asked = [_asked(context, entry, who) for entry in entries]
        seen = _look(context, asked)
    except MaglicaError as error:
        if len(entries) > 1:
            raise type(error)(f"nothing was done for {len(entries)} requests: {error}") from error
        raise
    known = dict(seen.there)
    for request, place in zip(seen.new, seen.places):
        placed, claimed = replace(request, host=place.host), request.id in seen.makers
        known[request.id] = context.requests.add(placed, claimed=claimed)
        context.hosts.reserve(known[request.id], seen.starts.get(request.id, 0))
        if not waits_for_turn(context, known[request.id]):
            context.delivery.add(request.id, place.host)
    # What a host has said to be its own was not placed: others may have more to tell still.
    if any(isinstance(each.spec, CloneSpec) for each in seen.new) and not learning.missing(context):
        context.requests.learnt()
        context.hosts.expected.clear()
    for request in asked:
        if request.id in seen.joined:
            context.requests.join(request, seen.joined[request.id])
            known[request.id] = seen.joined[request.id]
    return [known[request.id] for request in asked]


def foresee(context: Context, entries: Sequence[Mapping[str, Any]]) -> list[Placement]:
    """Return where ``accept`` would have each of these done now. Raises what it would raise."""
    try:
        asked = [_asked(context, entry, "") for entry in entries]
        seen = _look(context, asked)
    except MaglicaError as error:
        if len(entries) > 1:
            raise type(error)(f"not all of {len(entries)} fit: {error}") from error
        raise
    placements = {request.id: place for request, place in zip(seen.new, seen.places)}
    for request_id, other in {**seen.there, **seen.joined}.items():
        # It is counted already.
        host = other.host or ""
        # That of one which has ended may be forgotten.
        candidate = context.hosts.candidates.get(host, Candidate(host))
        placements[request_id] = Placement(host, load(candidate))
    return [placements[request.id] for request in asked]


def _asked(context: Context, entry: Mapping[str, Any], who: str) -> Request:
    """Return the request that a submission asks for; one to be tried again is looked up."""
    if "again" in entry:
        return _again(context, entry["id"], entry["again"], who)
    parent, peer = entry.get("parent"), entry.get("peer")
    return Request(entry["id"], entry["spec"], who=who, parent=parent, peer=peer)


def _again(context: Context, request_id: str, ended_id: str, who: str) -> Request:
    ended = context.requests.get(ended_id)
    if ended is None:
        accepted = context.requests.get(request_id)
        if accepted is not None:
            # Said again, and what it was to try once more was forgotten meanwhile.
            return replace(accepted, id=request_id)
        raise RequestUnknown(f"cannot try request {ended_id} again: no such request is known")
    act = f"cannot try request {ended.id} ({table.act(ended)}) again"
    if ended.state not in (State.FAILED, State.CANCELLED):
        raise AgainRefused(f"{act}: it is {ended.state.value}, neither failed nor cancelled")
    if not context.requests.is_whole(ended):
        raise AgainRefused(
            f"{act}: its secrets (passwords, user_data) were wiped when it ended; submit it anew"
            " with its spec"
        )
    return Request(request_id, ended.spec, who=who, parent=ended.parent, peer=ended.peer)


def _look(context: Context, asked: Sequence[Request]) -> _Seen:
    """Find out what would become of these. Raises what stands against one of them."""
    _unique(asked)
    repeated = {request.id: _repeated(context, request) for request in asked}
    there = {request_id: request for request_id, request in repeated.items() if request}
    makers = learning.makers(context, [request for request in asked if request.id not in there])
    joined: dict[str, Request] = {}
    new = []
    for request in asked:
        if request.id in there:
            continue
        _check(context, request)
        other = _joined(context, request, makers.get(request.id))
        if other is None:
            new.append(request)
        else:
            joined[request.id] = other
    starts = _starts(context, new)
    places = _places(context, new, starts, makers)
    return _Seen(there, joined, new, places, starts, makers)


def _check(context: Context, request: Request) -> None:
    act = f"cannot {table.act(request)}"
    if not is_short(request):
        raise MessageInvalid(f"{act}: its spec is longer than {MAX_REQUEST >> 10} KiB")
    if request.parent is not None and context.requests.get(request.parent) is None:
        raise RequestUnknown(f"{act}: no request {request.parent}, its parent, is known")
    if request.peer is not None and not context.hosts.known(request.peer):
        raise HostUnknown(f"{act}: no host {request.peer}, its peer, is known")
    where = context.strays.get(request.id, request.spec.host)
    if where is not None and request.peer == where:
        raise MessageInvalid(f"{act}: its peer {where} is the host itself")


def _unique(asked: Sequence[Request]) -> None:
    ids = [request.id for request in asked]
    if len(set(ids)) < len(ids):
        twice = next(each for number, each in enumerate(ids) if each in ids[:number])
        raise RequestConflict(f"request {twice} stands twice in one list")
    clones: set[str] = set()
    for spec in (request.spec for request in asked):
        if isinstance(spec, CloneSpec):
            if spec.name in clones:
                raise NameTaken(f"{_act(spec)}: that name stands twice in one list")
            clones.add(spec.name)


def _repeated(context: Context, asked: Request) -> Request | None:
    """Return the request that was submitted with this id before, if any."""
    found = context.requests.repeated(asked)
    if found is None:
        return None
    request, same = found
    if not same:
        why = f"request {request.id} is there already, with other content"
        if context.requests.is_claimed(request):
            why += (
                f", by the word of host {request.host} alone: look there what became of"
                f" {table.act(request)}, and ask again with an id of its own, as a task"
                " does that is run again"
            )
        raise RequestConflict(why)
    return request


def _joined(context: Context, asked: Request, maker: str | None = None) -> Request | None:
    """Return the open request that makes this very vm, if any.

    Raises NameTaken when the name is not free; on the host ``maker``, which has a request of this
    id under way, it may be the vm itself that has it.
    """
    spec = asked.spec
    if not isinstance(spec, CloneSpec):
        return None
    held = context.requests.clone_named(spec.name)
    if held is not None:
        same = spec.host in (None, held.host) and _anywhere(held.spec) == _anywhere(spec)
        same = same and held.peer == asked.peer
        if same and not held.cancelling:
            return held
        which = "that vm" if same else "another vm of that name"
        raise NameTaken(
            f"{_act(spec)}: request {held.id} of {held.who} is making {which}"
            f" on host {held.host}{' (being cancelled)' if held.cancelling else ''}"
        )
    owner = context.hosts.owner(spec.name)
    if owner is not None and owner != maker:
        raise NameTaken(f"{_act(spec)}: host {owner} has a domain of that name")
    return None


def _anywhere(spec: Spec) -> Spec:
    return replace(spec, host=None) if isinstance(spec, CloneSpec) else spec


def _places(
    context: Context,
    new: Sequence[Request],
    starts: Mapping[str, int],
    makers: Mapping[str, str],
) -> list[Placement]:
    """Return the host of each request, and its load with it."""
    candidates = dict(context.hosts.candidates)
    # Before clones are placed, of which some may go anywhere.
    for request in new:
        if request.id in starts and isinstance(request.spec, OnVm):
            _start(candidates, request.spec, starts[request.id])
        elif isinstance(request.spec, OnVm) and request.spec.host in candidates:
            _resize(candidates[request.spec.host], request.spec)
    clones = [
        request.spec
        for request in new
        if isinstance(request.spec, CloneSpec) and request.id not in makers
    ]
    peers = {
        request.name: request.peer
        for request in new
        if isinstance(request.spec, CloneSpec) and request.peer is not None
    }
    choices = iter(_placed(context, clones, candidates, peers))
    places = []
    for request in new:
        if not isinstance(request.spec, CloneSpec):
            host = _host_of(context, request.spec)
            places.append(Placement(host, load(candidates[host])))
        elif request.id in makers:
            host = makers[request.id]
            places.append(Placement(host, load(candidates[host])))
        else:
            choice = next(choices)
            places.append(Placement(choice.host, choice.load))
    return places


def _starts(context: Context, new: Sequence[Request]) -> dict[str, int]:
    """Return by id the MiB that each request, if it starts a vm, would commit on its host."""
    starting = [request for request in new if table.of(request).takes is Takes.MEMORY]
    known = [request for request in starting if context.hosts.known(request.spec.host or "")]
    hosts = {request.spec.host or "" for request in known}
    before = [request.spec for host in hosts for request in context.requests.of_host(host)]
    before += [request.spec for request in new]
    # What a vm will have by then, if it is resized before.
    sizes = {
        spec.uuid: spec.new_memory_mib
        for spec in before
        if isinstance(spec, OnVm) and spec.new_memory_mib is not None
    }
    return {
        request.id: context.hosts.memory_to_start(spec.host, spec.uuid, sizes.get(spec.uuid))
        for request, spec in ((request, request.spec) for request in known)
        if isinstance(spec, OnVm)
    }


def _start(candidates: dict[str, Candidate], spec: OnVm, memory_mib: int) -> None:
    try:
        candidates[spec.host] = start(candidates[spec.host], memory_mib)
    except NoRoom as error:
        raise NoRoom(
            f"cannot {table.act(spec)} on host {spec.host}: {error}; stop other vms there, or"
            " raise the limit in the client worker's configuration"
        ) from None


def _resize(host: Candidate, spec: OnVm) -> None:
    try:
        processors.check(spec.new_vcpus, host.holdings)
        if spec.new_memory_mib is not None:
            check_size(host, spec.new_memory_mib)
    except NoRoom as error:
        raise NoRoom(f"cannot {table.act(spec)} on host {spec.host}: {error}") from None


def _placed(
    context: Context,
    clones: Sequence[CloneSpec],
    candidates: Mapping[str, Candidate],
    peers: Mapping[str, str],
) -> Sequence[Choice]:
    missing = learning.missing(context) if clones else []
    if missing:
        raise NotReady(
            f"{_act(clones[0])}: the client worker has a new journal and does not place clones"
            f" before it has heard what there is on {some(missing)}, for"
            f" {GIVE_UP_SECONDS / 60:g} minutes at most; try again in a few seconds; a host that is"
            " gone for good has to be taken out of the access file"
        )
    return place_all(clones, candidates, peers)


def _host_of(context: Context, spec: Spec) -> str:
    act, host = f"cannot {table.act(spec)}", spec.host or ""
    if not context.hosts.known(host):
        raise HostUnknown(f"{act}: no host {host} is known")
    verb = table.of(spec)
    if isinstance(spec, OnVm) and (verb.unique or verb.leaves is Leaves.GONE):
        holders = context.hosts.holders(spec.uuid)
        if len(holders) > 1:
            raise UuidTwice.of(spec.name, spec.uuid, holders, verb.name)
    conflict = context.hosts.workers.conflict(host)
    if conflict is not None:
        raise HostDown(f"{act} on host {host}: {conflict}")
    if not context.hosts.alive(host):
        raise HostDown(
            f"{act} on host {host}: its host worker does not answer; look there at"
            " `systemctl status maglica-host-worker`"
        )
    candidate = context.hosts.candidates[host]
    versions.check(spec, candidate, f"{act} on host {host}: ")
    networks.check_change(spec, candidate.holdings, f"{act} on host {host}: ")
    pools.check_change(spec, candidate.holdings, f"{act} on host {host}: ")
    return host


def _act(spec: CloneSpec) -> str:
    return f"cannot clone {spec.name} from {spec.image}"
