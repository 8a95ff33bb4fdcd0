# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings vms, one or many, to the wanted state: looks at the hosts and the open requests, has
plan.py decide for each, submits all that is to do in one message and waits for it together.

Nothing is changed but by requests to the client worker, so that a caller which dies, or is run
again, finds the work where it stands. What can't be planned or placed for one vm stops all before
anything is done; what fails later for one fails that one only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, Union

from ..fleet.snapshot import Found
from ..model.errors import HostDown, LimitExceeded, MaglicaError, RequestConflict
from ..model.request import Request, State, new_request_id
from ..model.vm import Domain
from ..verbs import table
from ..verbs.clone import CloneSpec
from ..verbs.table import Presence
from . import group as vms_plan
from . import plan
from . import shown as vm_view
from .group import Group
from .outcome import failure_of
from .ports import Hosts, OnChange, Requests
from .ready import Readiness
from .target import Member, Waiting, together
from .wanted import Wanted, check_host

OPEN = tuple(state for state in State if not state.ended)
# How often what other requests do to a vm is waited for before that is an error.
_ROUNDS = 3
# How many open requests are looked through for those that are about many vms.
_LISTED = 10000

Asked = Union[Group, Sequence[Wanted]]


class Task:
    """One run: what it uses, and its deadline from now on.

    ``on_submit`` gets the requests that were handed in or joined together, ``on_change`` each
    change of one (without ``on_submit``, those too).
    """

    def __init__(
        self,
        client: Requests,
        hosts: Hosts,
        waiting: Waiting,
        on_change: OnChange = lambda request: None,
        on_submit: Callable[[Sequence[Request]], None] | None = None,
    ) -> None:
        self._client = client
        self._hosts = hosts
        self._waiting = waiting
        self._on_change = on_change
        self._on_submit = on_submit or self._tell_each
        self._ends = time.monotonic() + waiting.timeout
        self._ready = Readiness(hosts, waiting, self._ends)

    def foresee(self, asked: Asked) -> list[Member]:
        """Return what ``bring`` would do, with the hosts that clones would be made on."""
        members = self._look(asked)
        cloned = [
            (member, spec)
            for member in members
            for spec in member.steps
            if isinstance(spec, CloneSpec)
        ]
        placements = self._client.plan_all([spec for _member, spec in cloned]) if cloned else ()
        for (member, _spec), placement in zip(cloned, placements):
            member.after["host"] = placement.host
        for member in members:
            member.request = member.plan.joined
            if member.wanted.state is not Presence.ABSENT:
                member.vm = _foreseen(member)
        return members

    def bring(self, asked: Asked) -> list[Member]:
        """Make the vms as wanted; wait for them as asked. Return them all, each with its error.

        Such an error is what a request failed with, or RequestTimeout when the time is over (what
        was submitted goes on). Raises, before anything is done, what plan.decide or the client
        worker has against one of them.
        """
        members = self._look(asked)
        going = self._go(members, first=True)
        while going and self._waiting.wait:
            self._wait(going)
            self._plan_again([member for member in going if member.plan.joined])
            going = self._go(going)
        self._ready.show(members)
        return members

    def _tell_each(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._on_change(request)

    def _look(self, asked: Asked) -> list[Member]:
        """Read what there is, and plan for each vm."""
        if isinstance(asked, Group):
            check_host(asked.model, self._hosts.names)
            pending, found = self._read(asked)
            asked = _chosen(asked, pending, found)
        else:
            for wanted in asked:
                check_host(wanted, self._hosts.names)
            pending, found = self._read({wanted.name for wanted in asked})
        vms_plan.check(asked)
        members = [Member(wanted) for wanted in asked]
        self._decide(members, pending, found)
        refused = [member for member in members if member.error]
        if refused:
            raise together(refused, len(members))
        return members

    def _read(self, names: Container[str]) -> tuple[dict[str, Request], Found]:
        only = next(iter(names)) if isinstance(names, set) and len(names) == 1 else None
        # The requests first: one that ends in between has left its vm to be found.
        pending = {
            request.name: request
            for request in self._client.list(OPEN, _LISTED, only)
            if table.of(request).makes_vm and request.name in names
        }
        return pending, self._hosts.find_vms(names)

    def _plan_again(self, members: Sequence[Member]) -> None:
        """Plan anew for those whose vm another request was making, which has ended now."""
        again = [member for member in members if not member.error]
        for member in again:
            # What it joined may have made it.
            member.wanted = replace(member.wanted, new=False)
        if again:
            pending, found = self._read({member.name for member in again})
            self._decide(again, pending, found)

    def _decide(
        self, members: Sequence[Member], pending: Mapping[str, Request], found: Found
    ) -> None:
        """Plan for each member; what stands against one is its error."""
        by_name: dict[str, list[Domain]] = {}
        for domain in found.domains:
            by_name.setdefault(domain.name, []).append(domain)
        for member in members:
            there = Found(tuple(by_name.get(member.name, ())), found.unreachable)
            try:
                member.take(plan.decide(member.wanted, there, pending.get(member.name)))
                self._ready.check(member)
            except MaglicaError as error:
                member.error = error

    def _go(self, members: Sequence[Member], first: bool = False) -> list[Member]:
        """Let each member take its next step; return those that wait for a request now."""
        able = [member for member in members if not member.error]
        acting = [member for member in able if not member.plan.joined and member.steps]
        try:
            self._submit(acting)
        except MaglicaError as error:
            if first:
                raise
            for member in acting:
                member.error = error
            acting = []
        joining = [member for member in able if member.plan.joined and self._joins(member)]
        going = joining + acting
        self._on_submit([member.request for member in going if member.request])
        return going

    def _joins(self, member: Member) -> bool:
        if member.rounds > _ROUNDS:
            member.error = RequestConflict(
                f"vm {member.name} is made anew by other requests all the time"
            )
            return False
        joined = member.plan.joined
        if joined is not None and member.plan.cancel:
            joined = self._client.cancel(joined.id)
        elif joined is not None and not self._waiting.wait and (joined.cancelling or member.steps):
            does = "is being cancelled" if joined.cancelling else "is just making it"
            member.error = RequestConflict(
                f"cannot {'make' if joined.cancelling else 'change'} vm {member.name} yet: request"
                f" {joined.id} on host {joined.host} {does}"
            )
            return False
        member.request = joined
        return True

    def _submit(self, members: Sequence[Member]) -> None:
        """Hand in the next step of each of these; all of its steps if nobody waits."""
        if not members:
            return
        asked = []
        for member in members:
            steps = member.steps[:1] if self._waiting.wait else member.steps
            asked += [(member, Request(new_request_id(), spec)) for spec in steps]
        if len(asked) > vms_plan.MAX_VMS:
            raise LimitExceeded(
                f"{len(asked)} requests for {len(members)} vms are more than {vms_plan.MAX_VMS},"
                " which can be handed in together; a task that waits hands in one for each vm at a"
                " time"
            )
        accepted = self._client.submit_all([request for _member, request in asked])
        for (member, _request), request in zip(asked, accepted):
            member.request = request
            member.steps = member.steps[1:]

    def _wait(self, members: Sequence[Member]) -> None:
        """Wait until the requests of all these have ended; note how."""
        ids = {member.name: member.request.id for member in members if member.request}
        left = max(self._ends - time.monotonic(), 0)
        newest = self._client.wait_all(ids.values(), left, self._on_change)
        for member in members:
            request = member.request = newest[ids[member.name]]
            in_the_way = member.plan.joined is not None and not member.plan.ours
            if not in_the_way:
                member.done = member.done or request.state is State.DONE
            elif member.plan.cancel:
                member.done = request.state is State.CANCELLED
            if not (in_the_way and request.state.ended):
                member.error = failure_of(request, self._waiting.timeout)


def _chosen(group: Group, pending: Mapping[str, Request], found: Found) -> tuple[Wanted, ...]:
    for silent in found.unreachable:
        raise HostDown(
            f"cannot count the vms {group.pattern.text}: host {silent.host}: {silent.text}"
        )
    made = {domain.name for domain in found.domains if domain.made}.union(pending)
    taken = {domain.name for domain in found.domains if not domain.made}
    return vms_plan.choose(group, made, taken)


def _foreseen(member: Member) -> dict[str, Any]:
    existing = member.plan.existing
    shown = vm_view.of_domain(existing) if existing else vm_view.unknown(member.name)
    planned = vm_view.planned(member.after) if member.changed else {}
    # A vm has the same keys always; what else the plan says of it is for the diff.
    return {key: planned.get(key, value) for key, value in shown.items()}
