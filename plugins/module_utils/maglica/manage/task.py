# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings vms, one or many, to the wanted state: looks at the hosts and the open requests, has
plan.py decide for each, submits all that is to do in one message and waits for it together.

Nothing is changed but by requests to the client worker, so that a caller which dies, or is run
again, finds the work where it stands. What can't be planned or placed for one vm stops all before
anything is done; what fails later for one fails that one only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Union

from ..fleet.snapshot import Found
from ..model.errors import (
    LimitExceeded,
    MaglicaError,
    NameTaken,
    RequestConflict,
)
from ..model.request import (
    Customize,
    HostStatus,
    Placement,
    Request,
    Spec,
    State,
    new_request_id,
)
from ..model.text import some
from ..model.vm import Domain
from ..verbs import table
from ..verbs.clone import CloneSpec
from ..verbs.table import Presence
from . import group as groups
from . import plan, user_data, written
from . import shown as vm_shown
from .group import Group, Whole
from .outcome import failure_of
from .ports import Hosts, OnChange, OnQuiet, Requests
from .ready import FinalWait
from .tally import why_unheard
from .target import Target, Waiting, together
from .wanted import Wanted, check_host

OPEN = tuple(state for state in State if not state.ended)
# How often what other requests do to a vm is waited for before that is an error.
_ROUNDS = 3
# How many open requests are looked through for those that are about many vms.
_LISTED = 10000
# In bytes of JSON: what a message has room for beside all else of as many requests as it may have.
_USER_DATA = 1 << 19

Asked = Union[Group, Whole, Sequence[Wanted]]


class Task:
    """One run: what it uses, and its deadline from now on.

    ``on_submit`` gets the requests that were handed in or joined together, ``on_change`` each
    change of one (without ``on_submit``, those too), ``on_quiet`` what is waited for when nothing
    changes.
    """

    def __init__(
        self,
        client: Requests,
        hosts: Hosts,
        waiting: Waiting,
        on_change: OnChange = lambda request: None,
        on_submit: Callable[[Sequence[Request]], None] | None = None,
        *,
        on_quiet: OnQuiet | None = None,
    ) -> None:
        self._client = client
        self._hosts = hosts
        self._waiting = waiting
        self._on_change = on_change
        self._on_quiet = on_quiet
        self._on_submit = on_submit or self._tell_each
        self._seen = Found((), ())
        self._open: Sequence[Request] = ()
        self._statuses: dict[str, HostStatus | None] = {}
        self._ends = time.monotonic() + waiting.timeout
        self._ready = FinalWait(hosts, waiting, self._ends)

    def foresee(self, asked: Asked) -> list[Target]:
        """Return what ``bring`` would do, with the hosts that clones would be made on.

        A vm whose image is known not to allow it has that as its error. Raises what ``bring`` would
        raise, also what the client worker has against it.
        """
        targets = self._look(asked)
        for target, spec, placement in self._all_steps(targets):
            if isinstance(spec, CloneSpec):
                target.after["host"] = placement.host
                if spec.customize is not Customize.NONE:
                    known = self._host(placement.host)
                    target.error = written.against(spec, placement.host, known)
                    target.after.update(written.way(spec, placement.host, known))
        for target in targets:
            target.request = target.plan.joined
            target.error = target.error or self._too_early(target)
            if target.wanted.state is not Presence.ABSENT and target.error is None:
                target.vm = vm_shown.foreseen(target)
        return targets

    def _all_steps(self, targets: Sequence[Target]) -> list[tuple[Target, Spec, Placement]]:
        """Return all steps that targets would take now, and where. Raises what the client worker
        has against one of them, also against a later one of several.
        """
        acting = [target for target in targets if not (target.plan.joined or target.error)]
        next_ = self._next_steps(acting)
        steps = [(target, spec) for target in acting for spec in target.steps]
        if len(steps) > groups.MAX_VMS:
            # More than it looks at together: those that are asked for first.
            steps = next_
        with self._not_seen():
            placements = self._client.plan_all([spec for _target, spec in steps]) if steps else ()
        return [(*step, placement) for step, placement in zip(steps, placements)]

    def _host(self, name: str) -> HostStatus | None:
        if name not in self._statuses:
            self._statuses[name] = self._client.host(name)
        return self._statuses[name]

    def bring(self, asked: Asked) -> list[Target]:
        """Make the vms as wanted; wait for them as asked. Return them all, each with its error.

        Such an error is what a request failed with, RequestTimeout when the time is over, or why it
        could not be waited for (what was submitted goes on). Raises, before anything is done, what
        plan.decide or the client worker has against one of them.
        """
        targets = self._look(asked)
        if self._waiting.wait and any(len(target.steps) > 1 for target in targets):
            # What is refused later would leave a vm half changed.
            self._all_steps(targets)
        going = self._go(targets, first=True)
        while going and self._waiting.wait:
            try:
                self._wait(going)
                self._plan_again([target for target in going if target.plan.joined])
                going = self._go(going)
            except MaglicaError as error:
                # What was handed in goes on: whoever asked must get to know of it.
                for target in going:
                    if target.error is None:
                        target.fail(error, len(target.steps) + 1)
                break
        self._ready.show(targets)
        return targets

    def _tell_each(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._on_change(request)

    def _look(self, asked: Asked) -> list[Target]:
        """Read what there is, and plan for each vm."""
        if isinstance(asked, (Group, Whole)):
            self._check_hosts(asked.said)
            pending, found = self._read(asked)
            asked = asked.among(pending, found, self._open)
        else:
            self._check_hosts(asked)
            pending, found = self._read({wanted.name for wanted in asked})
        groups.check(asked)
        user_data.check(asked)
        targets = [Target(wanted) for wanted in asked]
        self._decide(targets, pending, found)
        refused = [target for target in targets if target.error]
        if refused:
            raise together(refused, len(targets))
        return targets

    def _check_hosts(self, asked: Sequence[Wanted]) -> None:
        # Not all sources know their names without a question.
        if any(wanted.host is not None for wanted in asked):
            known = self._hosts.names
            for wanted in asked:
                check_host(wanted, known)

    def _read(self, names: Container[str]) -> tuple[dict[str, Request], Found]:
        only = next(iter(names)) if isinstance(names, set) and len(names) == 1 else None
        # The requests first: one that ends in between has left its vm to be found.
        pending: dict[str, Request] = {}
        self._open = self._client.list(OPEN, _LISTED, only)
        for request in self._open:
            verb = table.of(request)
            if verb.about != "vm" or request.name not in names:
                continue
            # The newest, but for one that makes the vm, after which all others come.
            if verb.makes_vm or request.name not in pending:
                pending[request.name] = request
        found = self._hosts.find_vms(names)
        self._seen = found
        return pending, found

    def _plan_again(self, targets: Sequence[Target]) -> None:
        """Plan anew for those about whose vm another request was open, which has ended now."""
        again = [target for target in targets if not target.error]
        for target in again:
            # What it joined may have made it.
            joined, left = target.plan.joined, target.wanted
            if joined is not None and target.plan.ours:
                left = left.once_done(table.of(joined))
            target.wanted = replace(left, new=False)
        if again:
            pending, found = self._read({target.name for target in again})
            self._decide(again, pending, found)

    def _decide(
        self, targets: Sequence[Target], pending: Mapping[str, Request], found: Found
    ) -> None:
        """Plan for each target; what stands against one is its error."""
        by_name: dict[str, list[Domain]] = {}
        for domain in found.domains:
            by_name.setdefault(domain.name, []).append(domain)
        for target in targets:
            there = Found(tuple(by_name.get(target.name, ())), found.unreachable)
            try:
                target.take(self._planned(target.wanted, there, pending.get(target.name)))
                self._ready.check(target)
            except MaglicaError as error:
                target.error = error

    def _planned(self, wanted: Wanted, found: Found, pending: Request | None) -> plan.Plan:
        planned = plan.decide(wanted, found, pending)
        joined = planned.joined
        if joined is None or table.of(joined).makes_vm or self._waiting.wait:
            return planned
        if planned.ours and not planned.steps:
            return planned
        # What is asked for without waiting, its host does after what is under way.
        return plan.decide(wanted, found, None)

    def _go(self, targets: Sequence[Target], first: bool = False) -> list[Target]:
        """Let each target take its next step; return those that wait for a request now."""
        able = [target for target in targets if not target.error]
        acting = [target for target in able if not target.plan.joined and target.steps]
        try:
            self._submit(acting)
        except MaglicaError as error:
            if first:
                raise
            for target in acting:
                target.fail(error, len(target.steps))
            acting = []
        joining = [target for target in able if target.plan.joined and self._joins(target)]
        going = joining + acting
        self._on_submit([target.request for target in going if target.request])
        return going

    def _joins(self, target: Target) -> bool:
        if target.rounds > _ROUNDS:
            target.error = RequestConflict(
                f"vm {target.name} is changed by other requests again and again: run this later"
            )
            return False
        joined = target.plan.joined
        if joined is not None and target.plan.cancel:
            try:
                joined = self._client.cancel(joined.id)
            except MaglicaError as error:
                target.error = error
                return False
        target.error = self._too_early(target)
        if target.error is None:
            target.request = joined
        return target.error is None

    def _too_early(self, target: Target) -> MaglicaError | None:
        """Return why a task that does not wait can't ask for what follows on what is under way."""
        joined = target.plan.joined
        if joined is None or self._waiting.wait or target.plan.cancel:
            return None
        if not joined.cancelling and not target.steps:
            return None
        does = "is being cancelled" if joined.cancelling else "is just making it"
        return RequestConflict(
            f"cannot {'make' if joined.cancelling else 'change'} vm {target.name} yet: request"
            f" {joined.id} on host {joined.host} {does}"
        )

    def _submit(self, targets: Sequence[Target]) -> None:
        """Hand in what is next for each of these."""
        next_ = self._next_steps(targets)
        if not next_:
            return
        asked = [Request(new_request_id(), spec) for _target, spec in next_]
        with self._not_seen():
            accepted = self._client.submit_all(asked)
        for (target, _spec), request in zip(next_, accepted):
            target.request = request
            target.steps = target.steps[1:]

    @contextmanager
    def _not_seen(self) -> Iterator[None]:
        """Say of a name that is taken which hosts were silent: it may be the vm itself that is
        there.
        """
        try:
            yield
        except NameTaken as error:
            silent = [f"host {host.host}: {host.text}" for host in self._seen.unreachable]
            if not silent:
                raise
            text = f"{error}; it could not be looked at: {some(silent, '; ')}"
            raise NameTaken(text) from error

    def _next_steps(self, targets: Sequence[Target]) -> list[tuple[Target, Spec]]:
        """Return the next step of each of these; all of its steps if nobody waits."""
        most = 1 if self._waiting.wait else None
        next_ = [(target, spec) for target in targets for spec in target.steps[:most]]
        if len(next_) > groups.MAX_VMS:
            raise LimitExceeded(
                f"{len(next_)} requests for {len(targets)} vms are more than {groups.MAX_VMS},"
                " which can be handed in together; a task that waits hands in one for each vm at a"
                " time"
            )
        told = [spec.user_data or "" for _target, spec in next_ if isinstance(spec, CloneSpec)]
        size = sum(len(json.dumps(text)) for text in told)
        if size > _USER_DATA:
            raise LimitExceeded(
                f"user_data of {len(told)} vms has {size} bytes together, and can be handed in with"
                f" {_USER_DATA}: make them by several tasks"
            )
        return next_

    def _wait(self, targets: Sequence[Target]) -> None:
        """Wait until the requests of all these have ended; note how."""
        ids = {target.name: target.request.id for target in targets if target.request}
        left = max(self._ends - time.monotonic(), 0)
        newest = self._client.wait_all(ids.values(), left, self._on_change, self._on_quiet)
        for target in targets:
            request = target.request = newest[ids[target.name]]
            in_the_way = target.plan.joined is not None and not target.plan.ours
            if not in_the_way:
                target.done = target.done or request.state is State.DONE
            elif target.plan.cancel:
                target.done = request.state is State.CANCELLED
            lost = failure_of(request, self._waiting.timeout, why_unheard(self._client, request))
            if lost is not None and not (in_the_way and request.state.ended):
                target.fail(lost, len(target.steps) + 1)
