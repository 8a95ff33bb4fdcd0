# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shuts a vm's guest down and starts it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ...._deps import need
from ....domain.power import Act, Power, acts
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import HostDown, LibvirtFailed
from ....model.request import Request
from ....model.vm import Domain
from ....verbs.restart import RestartSpec
from ...journal.intents import Effect
from ..context import JobContext
from . import existing, shown, stop
from .power.steps import need_persistent
from .stop import Ends

_log = logging.getLogger(__name__)


class MayRestart(Ends, Protocol):
    """What an act says that may restart a vm, and how."""

    @property
    def allow_restart(self) -> bool: ...


# What is announced of a vm that was off: no run was ended.
_OFF = -1


def restart(request: Request, context: JobContext) -> Domain:
    """Shut a guest down, as a stop does, and start it; start one that is off."""
    domain = existing.find(request, context)
    spec = existing.spec_of(request, RestartSpec)
    with local.errors(f"restart {request.name}", context.host):
        run_anew(domain, request, spec, context)
        return shown.vm_of(domain, context.host)


def run_anew(domain: Any, request: Request, spec: Ends, context: JobContext) -> None:
    """Have a vm run that was started after this was asked for. Raises LibvirtFailed.

    What is paused or suspended goes on first, so that it can shut down. What has crashed is ended.
    The act is announced with the number that libvirtd has given to this run of the vm: by it a
    job that follows one that died knows whether the vm was started since, and starts it once only.
    """
    if local.is_active(domain):
        if not _is_restarted(domain, request, context):
            _end(domain, request, spec, context)
    elif not is_begun(request, context):
        _announce(domain, request, context, _OFF)
    if not local.is_active(domain):
        intents = context.journal.intents(request.id)
        act = f"restart {request.name}"
        if any(intent.kind is not Effect.SHUTDOWN for intent in intents):
            act = f"start {request.name} with what was changed, which is taken back,"
        with context.phase(request.id, "start"), local.errors(act, context.host):
            domain.create()


@contextmanager
def changing(
    domain: Any, request: Request, spec: MayRestart, context: JobContext
) -> Iterator[None]:
    """Announce how a vm that may be restarted is defined, before the block defines it otherwise."""
    if not (spec.allow_restart and local.is_active(domain)):
        yield
        return
    if not _change(request.id, context):
        data = {"uuid": domain.UUIDString(), "name": request.name, "before": inactive_xml(domain)}
        context.journal.intend(request.id, Effect.CHANGE, data)
    yield
    _announce_after(domain, request, context)


def _announce_after(domain: Any, request: Request, context: JobContext) -> None:
    """Announce how a vm is defined once it was changed: what others make of that stays."""
    data = _change(request.id, context)
    if data and "after" not in data:
        data = {**data, "after": inactive_xml(domain)}
        context.journal.intend(request.id, Effect.CHANGE, data)


def former(request: Request, context: JobContext) -> str | None:
    """Return how a vm was defined before it was changed for a request; None where it was not."""
    return _change(request.id, context).get("before")


def _change(request_id: str, context: JobContext) -> dict[str, Any]:
    """Return what was announced of a change; nothing if none was."""
    intents = context.journal.intents(request_id)
    found = [intent.data for intent in intents if intent.kind is Effect.CHANGE]
    return found[-1] if found else {}


def way_out(domain: Any) -> str:
    """Return what lets a vm have what it can't have while it runs, in words."""
    text = "stop the vm, or allow a restart (allow_restart)"
    if local.state_of(domain) in ("paused", "suspended"):
        text += f", which one that is {local.state_of(domain)} takes with state=running only"
    return text


def if_needed(domain: Any, request: Request, spec: MayRestart, context: JobContext) -> Domain:
    """Return a vm as it is at its next start, started anew if that is another than now, and if it
    is allowed.
    """
    if spec.allow_restart:
        waits = shown.with_next_start(domain, context.host).restart_needed
        if waits or is_begun(request, context):
            run_anew(domain, request, spec, context)
    return shown.with_next_start(domain, context.host)


def is_begun(request: Request, context: JobContext) -> bool:
    """Tell whether a request has announced that its vm is to be started anew."""
    return bool(_ended(request.id, context))


def _announce(
    domain: Any, request: Request, context: JobContext, run: int, seconds: int = 0
) -> None:
    """Announce what ends a run of the vm; within ``seconds`` the guest may still obey.

    Once for each run, for an undo waits for that.
    """
    if run in _ended(request.id, context):
        return
    data = {"uuid": domain.UUIDString(), "name": request.name, "run": run, "seconds": seconds}
    if run != _OFF:
        data["ran"] = domain.XMLDesc(need("libvirt").VIR_DOMAIN_XML_SECURE)
    context.journal.intend(request.id, Effect.SHUTDOWN, data)


def _is_restarted(domain: Any, request: Request, context: JobContext) -> bool:
    """Tell whether a vm that is on was started after what an earlier job announced."""
    ended = _ended(request.id, context)
    return bool(ended) and domain.ID() not in ended


def _ended(request_id: str, context: JobContext) -> set[int]:
    """Return the runs of the vm whose end was announced."""
    intents = context.journal.intents(request_id)
    return {intent.data["run"] for intent in intents if intent.kind is Effect.SHUTDOWN}


def _end(domain: Any, request: Request, spec: Ends, context: JobContext) -> None:
    """Have a vm off. Raises LibvirtFailed if it stays on, or would be gone."""
    libvirt = need("libvirt")
    steps = acts(Power.RESTARTED, local.state_of(domain))
    need_persistent(domain, steps, request, context)
    is_asked = Act.SHUT_DOWN in steps
    # An earlier job may have died just before.
    _announce_after(domain, request, context)
    _announce(domain, request, context, domain.ID(), spec.stop_timeout if is_asked else 0)
    try:
        # What starts it, the last one, is taken by whoever finds it off.
        stop.take(steps[:-1], domain, request, spec, context)
    except (LibvirtFailed, libvirt.libvirtError):
        if local.is_active(domain):
            # As a stop that fails: nothing is to be started, and no longer waited for. What else
            # was announced, as a disk for which it was to restart, is still to be undone.
            context.journal.forget(request.id, frozenset(Effect) - {Effect.SHUTDOWN})
        raise


def undo(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Start a vm that was shut down to be started again; that this fails stands against nothing.

    A guest that was told to shut down may do so a while later: that is waited for.
    """
    libvirt = need("libvirt")
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None or data["run"] == _OFF:
        return
    try:
        if local.is_active(domain) and (
            domain.ID() != data["run"] or not stop.goes_off(domain, data["seconds"], context)
        ):
            return
        if not local.is_active(domain):
            _start(domain, request_id, data, context)
    except libvirt.libvirtError as error:
        _stays_off(data, error, context)


def undo_change(_request_id: str, _data: dict[str, Any], _context: JobContext) -> None:
    """Leave a definition as it was changed: only a start shows whether it must be taken back."""


def _start(domain: Any, request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Start a vm as it is defined; else as it was before it was changed for the request, unless
    others have changed it since; else as it ran, and how it is defined waits for its next start.
    """
    connection, change = context.connect(), _change(request_id, context)

    def start_as_before() -> None:
        connection.defineXML(change["before"])
        domain.create()

    ways = [domain.create]
    if change and inactive_xml(domain) == change.get("after"):
        ways.append(start_as_before)
    if "ran" in data:
        ways.append(lambda: connection.createXML(data["ran"], 0))
    for way in ways:
        try:
            way()
            return
        except need("libvirt").libvirtError as error:
            _stays_off(data, error, context)


def _stays_off(data: dict[str, Any], error: Exception, context: JobContext) -> None:
    """Say so, or raise HostDown where libvirtd itself is gone."""
    text = f"vm {data['name']} on host {context.host} does not start again: {error}"
    if local.kind_of(error, LibvirtFailed) is HostDown:
        raise HostDown(text) from error
    _log.error("%s", text)
