# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seven things that a client says to the client worker, as methods."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Callable

from ..config.config import Config
from ..model.errors import MessageInvalid, NotReady, RequestTimeout, VersionTooOld
from ..model.plain import plain
from ..model.reported import ReportedDomain, ReportedHost
from ..model.request import (
    HostStatus,
    Placement,
    Request,
    Spec,
    State,
    new_request_id,
)
from ..model.worker import ClientWorkerStatus
from ..verbs import table
from ..verbs.clone import CloneSpec
from . import features, messages
from .exchange import ATTEMPTS, REPLY_TIMEOUT, Exchange
from .handed_in import HandedIn
from .waiting import AGAIN, LONG_POLL, MAX_SILENCE, Waiting, raise_first


class Client(Exchange):
    """Speaks to the client worker that ``config`` names, with the key of its [library] section.

    To be used as a context manager, by one thread. Every method raises the error that the client
    worker answers (errors.from_code), AccessDenied as soon as it refuses the key, PeerSilent when
    no answer comes, MessageInvalid for one that makes no sense.
    """

    def __init__(
        self, config: Config, reply_timeout: float = REPLY_TIMEOUT, attempts: int = ATTEMPTS
    ) -> None:
        super().__init__(config, reply_timeout, attempts)
        self._handed_in = HandedIn(self._submit_one)

    def submit(self, spec: Spec, request_id: str | None = None) -> Request:
        """Hand in a request; it is in the client worker's journal when this returns.

        Give the same ``request_id`` to hand in the same request again, also from another process.
        """
        return self.submit_all([Request(request_id or new_request_id(), spec)])[0]

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]:
        """Hand in up to 1000 requests, of which all are accepted or none; return what they became.

        Of each, ``id``, ``spec``, ``parent`` and ``peer`` count. The clones are placed
        together. Raises what stands against one of them.
        """
        return self._submit(self._submissions(requests))

    def submit_again(self, request_id: str, new_id: str | None = None) -> Request:
        """Hand in a request that has failed or was cancelled once more, as a new one.

        Raises AgainRefused where it has not, or where a secret of it is gone.
        """
        return self._submit([{"id": new_id or new_request_id(), "again": request_id}])[0]

    def plan(self, spec: CloneSpec) -> Placement:
        """Tell where a clone would be made now; nothing is reserved."""
        return self.plan_all([spec])[0]

    def plan_all(self, specs: Sequence[Spec]) -> tuple[Placement, ...]:
        """Tell where up to 1000 requests, handed in together, would be done now.

        Raises what ``submit_all`` would raise.
        """
        asked = self._submissions([Request(new_request_id(), spec) for spec in specs])
        reply = self._call_when_ready({"requests": asked, "dry_run": True})
        found: tuple[Placement, ...] = reply["placements"]
        return found

    def status(self, request_id: str) -> Request:
        """Return the request as it stands."""
        return self.status_all([request_id])[0]

    def status_all(self, request_ids: Sequence[str]) -> tuple[Request, ...]:
        """Return these requests, up to 1000, as they stand. Raises what stands against one."""
        asked = tuple(dict.fromkeys(request_ids))
        found: list[Request] = []
        while len(found) < len(asked):
            # One id may stand for a request of another id: what was answered is told by its place.
            reply = self.call("status", {"ids": asked[len(found) :]})
            raise_first(reply)
            found += reply["requests"]
            if not reply["requests"]:
                raise MessageInvalid("the client worker's answer to status has no request")
        by_id = dict(zip(asked, found))
        return tuple(by_id[each] for each in request_ids)

    def list(
        self, states: Iterable[State] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]:
        """Return the newest requests, at most ``limit``, in these states or in all.

        ``name``: only those about the vm of that name.
        """
        body = _narrowed(states, name)
        found: list[Request] = []
        while len(found) < limit:
            asked = min(limit - len(found), messages.MAX_LISTED)
            reply = self.call("list", {**body, "limit": asked})
            found += reply["requests"]
            full = len(reply["requests"]) == asked
            if not reply["requests"] or not (reply.get("more") or full):
                break
            body["before"] = found[-1].id
        return tuple(found)

    def changes(
        self,
        after: int,
        wait_s: int = LONG_POLL,
        states: Iterable[State] = (),
        name: str | None = None,
    ) -> tuple[tuple[Request, ...], int]:
        """Return requests that have changed since revision ``after``, in the order of their last
        changes, and the revision to ask after the next time.

        Waits for the first one, at most ``wait_s`` seconds. Revision 0 is before all changes.
        """
        body = {**_narrowed(states, name), "after": after, "wait_s": wait_s}
        patience = wait_s + self.reply_timeout
        reply = self.exchange("list", body, patience, patience + MAX_SILENCE)
        return reply["requests"], reply["revision"]

    def cancel(self, request_id: str) -> Request:
        """Ask for a request to be cancelled, and return it as it stands then."""
        reply = self.call("cancel", {"ids": [request_id]})
        raise_first(reply)
        return _only(reply)

    def hosts(self) -> tuple[HostStatus, ...]:
        """Return every host that the client worker knows, by name, with its last report."""
        return self.overview()[1]

    def overview(self) -> tuple[ClientWorkerStatus | None, tuple[HostStatus, ...]]:
        """Return what the client worker says of itself, None if it does not know of that, and every
        host that it knows, as ``hosts`` does.
        """
        found: list[HostStatus] = []
        client_worker = None
        more = True
        while more:
            reply = self.call("hosts", {"after": found[-1].host} if found else {})
            client_worker = client_worker or reply.get("client_worker")
            found += reply["hosts"]
            more = reply.get("more", False) and bool(reply["hosts"])
        return client_worker, tuple(found)

    def host(self, name: str) -> HostStatus | None:
        """Return what is known of one host; None if there is none of that name."""
        # Among those that come after its name without the last letter it is one of the first.
        after, more = name[:-1], True
        while more and after < name:
            reply = self.call("hosts", {"after": after} if after else {})
            found: tuple[HostStatus, ...] = reply["hosts"]
            for status in found:
                if status.host == name:
                    return status
                after = status.host
            more = reply.get("more", False) and bool(found)
        return None

    def reported(
        self, hosts: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[tuple[ReportedHost, ...], tuple[ReportedDomain, ...]]:
        """Return what hosts have reported of themselves, by name, and of their domains, by UUID.

        Of these ``hosts`` only, and the domains of these ``names`` only; none stands for all. A
        host that is not known is not in the answer. A domain that moves meanwhile is there once.
        """
        # More of them than a message may have: all are asked for.
        asked = {"hosts": tuple(hosts), "names": tuple(names)}
        body = {key: each for key, each in asked.items() if 0 < len(each) <= messages.MAX_LISTED}
        on, named = frozenset(hosts), frozenset(names)
        known: dict[str, ReportedHost] = {}
        domains: dict[str, list[ReportedDomain]] = {}
        after: str | None = ""
        while after is not None:
            reply = self.call("domains", {**body, "after": after} if after else body)
            known.update((host.name, host) for host in reply["hosts"])
            page: dict[str, list[ReportedDomain]] = {}
            for each in reply["domains"]:
                page.setdefault(each.uuid, []).append(each)
            # All of one UUID are on one page: what is on two has moved meanwhile.
            domains.update(page)
            if reply.get("next") == after:
                raise MessageInvalid("the client worker's answer to domains goes on where it began")
            after = reply.get("next")
        return (
            tuple(host for name, host in sorted(known.items()) if not on or name in on),
            tuple(
                each
                for _uuid, found in sorted(domains.items())
                for each in found
                if (not on or each.host in on) and (not named or each.name in named)
            ),
        )

    def wait(
        self,
        request_id: str,
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
        on_quiet: Callable[[Sequence[Request]], None] | None = None,
    ) -> Request:
        """Wait until the request has ended, at most ``timeout`` seconds, and return it.

        ``on_change`` gets each new version that is seen, the first and the last one too;
        ``on_quiet`` what is waited for when nothing has changed for QUIET seconds or more. How the
        request ended is for the caller to look at: a failed one is returned, not raised. Raises
        RequestTimeout when the time is over; the request goes on.
        """
        found = self.wait_all([request_id], timeout, on_change, on_quiet)[request_id]
        if not found.state.ended:
            raise RequestTimeout(
                f"request {request_id} ({found.kind} {found.name}) is still"
                f" {found.state.value} after {timeout:g} s; it goes on"
            )
        return found

    def wait_all(
        self,
        request_ids: Iterable[str],
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
        on_quiet: Callable[[Sequence[Request]], None] | None = None,
    ) -> dict[str, Request]:
        """Wait until up to 1000 requests have ended, at most ``timeout`` seconds; return them.

        By the ids that the requests have themselves, and by those that are asked for. ``on_change``
        and ``on_quiet`` are as with ``wait``. What has not ended when the time is over is returned
        as it stands. What was handed in by this client, and has been lost by the client worker, is
        handed in again. Raises what stands against one of them when all others have ended.
        """
        waiting = Waiting(self, self._handed_in, request_ids)
        return waiting.until(time.monotonic() + timeout, on_change, on_quiet)

    def _submissions(self, requests: Sequence[Request]) -> tuple[dict[str, Any], ...]:
        """Return what hands in these requests. Raises VersionTooOld where the client worker does
        not know of all that they say.
        """
        for request in requests:
            needed = table.features_of(request.spec)
            if needed and self.features is None:
                self.call("list", {"limit": 1})
            lacking = needed.difference(self.features or ())
            if lacking:
                raise VersionTooOld(
                    f"cannot {table.act(request)}: the client worker at {self._where()} is"
                    f" too old: it does not know of {', '.join(sorted(lacking))}; run"
                    " maglica.cloud.deploy again"
                )
        return tuple(_submission(each, self.features or ()) for each in requests)

    def _submit(self, submissions: Sequence[dict[str, Any]]) -> tuple[Request, ...]:
        reply = self._call_when_ready({"requests": submissions})
        accepted: tuple[Request, ...] = reply["requests"]
        # Those that did not fit in the answer.
        left = [each["id"] for each in submissions[len(accepted) :]]
        accepted = (*accepted, *self.status_all(left))
        self._handed_in.keep(submissions, accepted)
        return accepted

    def _submit_one(self, submission: dict[str, Any]) -> Request:
        return _only(self.call("submit", {"requests": [submission]}))

    def _call_when_ready(self, body: dict[str, Any]) -> dict[str, Any]:
        """Submit; a client worker that is learning what its hosts have is waited for."""
        end = time.monotonic() + MAX_SILENCE
        while True:
            try:
                return self.call("submit", body)
            except NotReady:
                if time.monotonic() >= end:
                    raise
                time.sleep(AGAIN)


def _submission(request: Request, known: Collection[str]) -> dict[str, Any]:
    spec = features.spec_known_to(known, request.kind, plain(request.spec))
    asked = {"id": request.id, "kind": request.kind, "spec": spec}
    related = {"parent": request.parent, "peer": request.peer}
    return {**asked, **{name: value for name, value in related.items() if value is not None}}


def _narrowed(states: Iterable[State], name: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {} if name is None else {"name": name}
    if chosen := tuple(states):
        body["states"] = chosen
    return body


def _only(reply: dict[str, Any]) -> Request:
    if len(reply["requests"]) != 1:
        raise MessageInvalid(f"the client worker answered with {len(reply['requests'])} requests")
    found: Request = reply["requests"][0]
    return found
