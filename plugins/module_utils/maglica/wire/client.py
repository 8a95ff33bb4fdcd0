# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seven things that a client says to the client worker, as methods."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Callable

from ..model import errors
from ..model.errors import MessageInvalid, RequestTimeout
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
from ..verbs.clone import CloneSpec
from . import messages
from .exchange import Exchange

# Seconds.
LONG_POLL = 30
# While many requests go on, news of them are asked for no more often than this.
GATHER = 0.1
# When nothing changes for so long, whoever waits is told; then more and more rarely.
QUIET = 5
# A waiting client outlasts a restart of the client worker, and gives up after this.
MAX_SILENCE = 120.0


class Client(Exchange):
    """Speaks to the client worker that ``config`` names, with the key of its [library] section.

    To be used as a context manager, by one thread. Every method raises the error that the client
    worker answers (errors.from_code), AccessDenied as soon as it refuses the key, PeerSilent when
    no answer comes, MessageInvalid for one that makes no sense.
    """

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
        return self._submit([_submission(each) for each in requests])

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
        asked = [_submission(Request(new_request_id(), spec)) for spec in specs]
        reply = self.call("submit", {"requests": asked, "dry_run": True})
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
            _raise_first(reply)
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
        _raise_first(reply)
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

        By the ids that the requests have themselves. ``on_change`` and ``on_quiet`` are as
        with ``wait``. What has not ended when the time is over is returned as it stands. Raises
        what stands against one of them when all others have ended.
        """
        end = time.monotonic() + timeout
        seen: dict[str, Request] = {}
        refused: dict[str, Any] = {}
        waiting = dict.fromkeys(request_ids, 0)
        quiet = QUIET if on_quiet else LONG_POLL
        while waiting:
            left = max(end - time.monotonic(), 0)
            poll = min(math.ceil(left), quiet)
            watched = [{"id": each, "version": version} for each, version in waiting.items()]
            body = {"requests": watched, "wait_s": poll}
            silence = max(min(left, MAX_SILENCE), self.reply_timeout)
            reply = self.exchange("wait", body, poll + self.reply_timeout, silence + poll)
            for entry in reply.get("errors", ()):
                refused.setdefault("errors", []).append(entry)
                waiting.pop(entry["id"], None)
            if any(found.id not in waiting for found in reply["requests"]):
                # Some of the ids stand for requests that theirs have joined.
                waiting = {each.id: 0 for each in self.status_all(tuple(waiting))}
                continue
            for found in reply["requests"]:
                newer = found.id not in seen or found.version > seen[found.id].version
                seen[found.id] = found
                waiting[found.id] = found.version
                if found.state.ended:
                    del waiting[found.id]
                if on_change and newer:
                    on_change(found)
            if not reply["requests"] and not reply.get("errors"):
                _nothing_new(reply, [seen[each] for each in waiting if each in seen], on_quiet)
                quiet = min(2 * quiet, LONG_POLL)
            if time.monotonic() >= end and not reply.get("more"):
                break
            if waiting and len(seen) > 1:
                # What else changes meanwhile comes in one answer.
                time.sleep(GATHER)
        _raise_first(refused)
        return seen

    def _submit(self, submissions: Sequence[dict[str, Any]]) -> tuple[Request, ...]:
        reply = self.call("submit", {"requests": submissions})
        accepted: tuple[Request, ...] = reply["requests"]
        # Those that did not fit in the answer.
        return (*accepted, *self.status_all([each["id"] for each in submissions[len(accepted) :]]))


def _submission(request: Request) -> dict[str, Any]:
    asked = {"id": request.id, "kind": request.kind, "spec": request.spec}
    related = {"parent": request.parent, "peer": request.peer}
    return {**asked, **{name: value for name, value in related.items() if value is not None}}


def _nothing_new(
    reply: dict[str, Any],
    waiting: Sequence[Request],
    on_quiet: Callable[[Sequence[Request]], None] | None,
) -> None:
    if reply.get("more"):
        # Asking again at once would go on for ever.
        raise MessageInvalid("the client worker's answer to wait has no request")
    if on_quiet:
        on_quiet(waiting)


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


def _raise_first(reply: dict[str, Any]) -> None:
    for entry in reply.get("errors", ()):
        raise errors.from_code(entry["code"], entry["text"])
