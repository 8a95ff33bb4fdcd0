# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client worker in memory behind the methods of wire.client.Client.

tests/integration/wire/test_client_contract.py holds it to the same contract as the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from maglica.client_worker.placement import choose
from maglica.client_worker.placement.candidates import Candidate, Holdings
from maglica.model.errors import (
    HostUnknown,
    MaglicaError,
    NameTaken,
    RequestConflict,
    RequestTimeout,
    RequestUnknown,
)
from maglica.model.request import (
    Failure,
    HostStatus,
    Placement,
    Request,
    Spec,
    State,
    new_request_id,
)
from maglica.model.worker import ClientWorkerStatus
from maglica.system import version
from maglica.verbs.clone import CloneSpec
from maglica.wire import features

# In a story: nothing happens for some seconds.
QUIET: dict[str, Any] = {}


class FakeClient:
    """``story`` has the changes that the next wait sees, in their order; what comes is kept."""

    def __init__(
        self, hosts: Iterable[HostStatus] = (), refusal: MaglicaError | None = None
    ) -> None:
        self._hosts = {status.host: status for status in hosts}
        self._refusal = refusal
        self.client_worker: ClientWorkerStatus | None = ClientWorkerStatus(version.own())
        # As they were handed in, with all secrets.
        self.specs: list[Spec] = []
        self._ids: dict[str, tuple[str, Spec]] = {}
        self.requests: dict[str, Request] = {}
        self.story: list[dict[str, Any] | BaseException] = []

    def __enter__(self) -> FakeClient:
        if self._refusal:
            raise self._refusal
        return self

    def __exit__(self, *_rest: object) -> None:
        pass

    def submit(self, spec: Spec, request_id: str | None = None) -> Request:
        request_id = request_id or new_request_id()
        if request_id in self._ids:
            known, content = self._ids[request_id]
            if content != spec:
                raise RequestConflict(f"request {request_id} is there already")
            return self.requests[known]
        if isinstance(spec, CloneSpec):
            joined = self._same_clone(spec)
            if joined:
                self._ids[request_id] = (joined.id, spec)
                return joined
        host = self.plan(spec).host
        self.specs.append(spec)
        request = Request(request_id, spec.without_secrets(), host=host, who="admin")
        self._ids[request_id] = (request_id, spec)
        self.requests[request_id] = request
        return request

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]:
        before = dict(self._ids), dict(self.requests)
        try:
            return tuple(self.submit(each.spec, each.id) for each in requests)
        except MaglicaError:
            self._ids, self.requests = before
            raise

    def plan_all(self, specs: Sequence[Spec]) -> tuple[Placement, ...]:
        return tuple(map(self.plan, specs))

    def plan(self, spec: Spec) -> Placement:
        if not isinstance(spec, CloneSpec):
            if spec.host not in self._hosts:
                raise HostUnknown(f"no host {spec.host}")
            return Placement(spec.host, 0.5)
        candidates = {
            status.host: Candidate(
                status.host,
                Holdings.of(status.report),
                status.alive,
                status.weight,
                features=frozenset(features.OWN),
            )
            for status in self._hosts.values()
        }
        joined = self._same_clone(spec)
        choice = choose.place(replace(spec, host=joined.host) if joined else spec, candidates)
        return Placement(choice.host, choice.load)

    def status(self, request_id: str) -> Request:
        if request_id not in self._ids:
            raise RequestUnknown(f"no request {request_id} is known")
        return self.requests[self._ids[request_id][0]]

    def list(
        self, states: Iterable[State] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]:
        wanted = tuple(states) or tuple(State)
        found = [
            request
            for request in reversed(self.requests.values())
            if request.state in wanted and name in (None, request.name)
        ]
        return tuple(found[:limit])

    def cancel(self, request_id: str) -> Request:
        request = self.status(request_id)
        if request.state.ended or request.cancelling:
            return request
        return self.change(request, cancelling=True)

    def hosts(self) -> tuple[HostStatus, ...]:
        return tuple(self._hosts[name] for name in sorted(self._hosts))

    def overview(self) -> tuple[ClientWorkerStatus | None, tuple[HostStatus, ...]]:
        return self.client_worker, self.hosts()

    def host(self, name: str) -> HostStatus | None:
        return self._hosts.get(name)

    def wait(
        self,
        request_id: str,
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
        on_quiet: Callable[[Sequence[Request]], None] | None = None,
    ) -> Request:
        request = self.status(request_id)
        while True:
            if on_change:
                on_change(request)
            if request.state.ended:
                return request
            if not self.story:
                raise RequestTimeout(
                    f"request {request_id} is still {request.state.value}; it goes on"
                )
            step = self.story.pop(0)
            if step == QUIET:
                if on_quiet:
                    on_quiet([request])
                continue
            if isinstance(step, BaseException):
                raise step
            request = self.change(request, **step)

    def wait_all(
        self,
        request_ids: Iterable[str],
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
        on_quiet: Callable[[Sequence[Request]], None] | None = None,
    ) -> dict[str, Request]:
        found = {}
        for request_id in request_ids:
            try:
                found[request_id] = self.wait(request_id, timeout, on_change, on_quiet)
            except RequestTimeout:
                found[request_id] = self.status(request_id)
        return found

    def change(self, request: Request, **fields: Any) -> Request:
        """Move a request on, as its host would."""
        request = self.requests[request.id]
        self.requests[request.id] = replace(
            request, version=request.version + 1, updated=request.updated + 1, **fields
        )
        return self.requests[request.id]

    def fail(self, request: Request, failure: Failure, state: State = State.FAILED) -> Request:
        return self.change(request, state=state, failure=failure)

    def _same_clone(self, spec: CloneSpec) -> Request | None:
        for request in self.requests.values():
            held = request.spec
            if request.state.ended or not isinstance(held, CloneSpec) or held.name != spec.name:
                continue
            same = replace(held, host=None) == replace(spec.without_secrets(), host=None)
            if spec.host in (None, request.host) and same and not request.cancelling:
                return request
            raise NameTaken(f"request {request.id} makes another {spec.name}")
        for status in self._hosts.values():
            if any(domain.name == spec.name for domain in status.report.domains):
                raise NameTaken(f"host {status.host} has a domain {spec.name}")
        return None
