# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes requests in, all of a list or none: first all are looked at and placed, then all are kept.

Until the last one has its place nothing is changed, so that a list which is refused leaves nothing
behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..model.errors import (
    HostDown,
    HostUnknown,
    MaglicaError,
    NameTaken,
    NoRoom,
    RequestConflict,
    UuidTwice,
)
from ..model.request import Placement, Request, Spec
from ..verbs import table
from ..verbs.clone import CloneSpec
from ..verbs.verb import Leaves, OnImage, OnVm, Takes
from .placement.choose import Candidate, Choice, load, place_all, start
from .state import Context


def accept(context: Context, entries: Sequence[Mapping[str, Any]], who: str) -> list[Request]:
    """Return the request of each entry (``id``, ``spec``): accepted, repeated or joined.

    Raises, with nothing changed, what stands against one of them; the text names its vm.
    """
    try:
        _unique([entry["id"] for entry in entries], [entry["spec"] for entry in entries])
        known = {entry["id"]: _repeated(context, entry) for entry in entries}
        fresh = [entry for entry in entries if known[entry["id"]] is None]
        strays = context.strays
        joined = {e["id"]: _joined(context, e["spec"], strays.get(e["id"])) for e in fresh}
        new = [entry for entry in fresh if joined[entry["id"]] is None]
        starts = _starts(context, new)
        hosts = _hosts(context, new, starts)
    except MaglicaError as error:
        if len(entries) > 1:
            raise type(error)(f"none of {len(entries)} requests is accepted: {error}") from error
        raise
    for entry, host in zip(new, hosts):
        request = Request(entry["id"], entry["spec"], host=host, who=who)
        known[request.id] = context.requests.add(request)
        context.hosts.reserve(request, starts.get(request.id, 0))
        context.delivery.add(request.id, host)
    for entry in fresh:
        other = joined[entry["id"]]
        if other is not None:
            context.requests.join(entry["id"], entry["spec"], other)
            known[entry["id"]] = other
    return [request for request in map(known.get, [e["id"] for e in entries]) if request]


def foresee(context: Context, specs: Sequence[CloneSpec]) -> list[Placement]:
    """Return where ``accept`` would have these clones made now. Raises what it would raise."""
    try:
        _unique([], specs)
        joined = [_joined(context, spec) for spec in specs]
        new = [spec for spec, other in zip(specs, joined) if other is None]
        choices = iter(_placed(context, new, context.hosts.candidates))
    except MaglicaError as error:
        if len(specs) > 1:
            raise type(error)(f"not all of {len(specs)} fit: {error}") from error
        raise
    placements = []
    for other in joined:
        if other is None:
            choice = next(choices)
            placements.append(Placement(choice.host, choice.load))
        else:
            # It is counted already.
            host = other.host or ""
            placements.append(Placement(host, load(context.hosts.candidates[host])))
    return placements


def _unique(ids: Sequence[str], specs: Sequence[Spec]) -> None:
    if len(set(ids)) < len(ids):
        twice = next(each for number, each in enumerate(ids) if each in ids[:number])
        raise RequestConflict(f"request {twice} stands twice in one list")
    clones: set[str] = set()
    for spec in specs:
        if isinstance(spec, CloneSpec):
            if spec.name in clones:
                raise NameTaken(f"{_act(spec)}: that name stands twice in one list")
            clones.add(spec.name)


def _repeated(context: Context, entry: Mapping[str, Any]) -> Request | None:
    """Return the request that was submitted with this entry's id before, if any."""
    found = context.requests.repeated(entry["id"], entry["spec"])
    if found is None:
        return None
    request, same = found
    if not same:
        raise RequestConflict(f"request {request.id} is there already, with other content")
    return request


def _joined(context: Context, spec: Spec, maker: str | None = None) -> Request | None:
    """Return the open request that makes this very vm, if any.

    Raises NameTaken when the name is not free; on the host ``maker``, which has a request of this
    id under way, it may be the vm itself that has it.
    """
    if not isinstance(spec, CloneSpec):
        return None
    held = context.requests.clone_named(spec.name)
    if held is not None:
        same = spec.host in (None, held.host) and _anywhere(held.spec) == _anywhere(spec)
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


def _hosts(
    context: Context, entries: Sequence[Mapping[str, Any]], starts: Mapping[str, int]
) -> list[str]:
    strays = context.strays
    candidates = dict(context.hosts.candidates)
    # Before clones are placed, of which some may go anywhere.
    for entry in entries:
        if entry["id"] in starts:
            _start(candidates, entry["spec"], starts[entry["id"]])
    clones = [
        entry["spec"]
        for entry in entries
        if isinstance(entry["spec"], CloneSpec) and entry["id"] not in strays
    ]
    choices = iter(_placed(context, clones, candidates))
    return [
        (strays.get(entry["id"]) or next(choices).host)
        if isinstance(entry["spec"], CloneSpec)
        else _host_of(context, entry["spec"])
        for entry in entries
    ]


def _starts(context: Context, entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return by request id the MiB that each entry, if it starts a vm, would commit on its host."""
    starting = [entry for entry in entries if table.of(entry["spec"]).takes is Takes.MEMORY]
    known = [entry for entry in starting if context.hosts.known(entry["spec"].host)]
    hosts = {entry["spec"].host for entry in known}
    before = [request.spec for host in hosts for request in context.requests.of_host(host)]
    before += [entry["spec"] for entry in entries]
    # What a vm will have by then, if it is resized before.
    sizes = {
        spec.uuid: spec.new_memory_mib
        for spec in before
        if isinstance(spec, OnVm) and spec.new_memory_mib is not None
    }
    return {
        entry["id"]: context.hosts.memory_to_start(spec.host, spec.uuid, sizes.get(spec.uuid))
        for entry, spec in ((entry, entry["spec"]) for entry in known)
    }


def _start(candidates: dict[str, Candidate], spec: OnVm, memory_mib: int) -> None:
    try:
        candidates[spec.host] = start(candidates[spec.host], memory_mib)
    except NoRoom as error:
        raise NoRoom(
            f"cannot {spec.verb} {spec.name} on host {spec.host}: {error}; stop other vms there, or"
            " raise the limit in the client worker's configuration"
        ) from None


def _placed(
    context: Context, clones: Sequence[CloneSpec], candidates: Mapping[str, Candidate]
) -> Sequence[Choice]:
    missing = context.hosts.missing(context.clock())
    if clones and missing:
        raise HostDown(
            f"{_act(clones[0])}: the client worker has a new journal and does not place clones"
            f" before it has heard of {', '.join(missing[:5])}; try again in a few seconds"
        )
    return place_all(clones, candidates)


def _host_of(context: Context, spec: OnVm | OnImage) -> str:
    act = f"cannot {spec.verb} {spec.name}"
    if not context.hosts.known(spec.host):
        raise HostUnknown(f"{act}: no host {spec.host} is known")
    if isinstance(spec, OnVm) and table.of(spec).leaves is Leaves.GONE:
        holders = context.hosts.holders(spec.uuid)
        if len(holders) > 1:
            raise UuidTwice.of(spec.name, spec.uuid, holders)
    if not context.hosts.alive(spec.host):
        raise HostDown(f"{act} on host {spec.host}: its host worker does not answer")
    return spec.host


def _act(spec: CloneSpec) -> str:
    return f"cannot clone {spec.name} from {spec.image}"
