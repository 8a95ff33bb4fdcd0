# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shuts a vm's guest down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Callable, Protocol

from ...._deps import need
from ....domain.power import Act, Power, acts
from ....libvirtd import local
from ....libvirtd.local import state_of
from ....model.errors import LibvirtFailed
from ....model.request import Request
from ....model.vm import Domain
from ....verbs import table
from ....verbs.stop import StopSpec
from ..context import JobContext
from . import existing, shown
from .power import steps as taken

# A guest that was still booting has not seen the first one.
BUTTON_SECONDS = 20
ALIVE_SECONDS = 5


class Ends(Protocol):
    """What is to be known to shut a guest down."""

    @property
    def force(self) -> bool: ...
    @property
    def stop_timeout(self) -> int: ...


def stop(request: Request, context: JobContext) -> Domain:
    """Ask the guest to shut down and wait until it is off; after the timeout end it, if forced.

    What is paused or suspended goes on first, so that it can shut down. What has crashed is ended.
    """
    domain = existing.find(request, context)
    spec = existing.spec_of(request, StopSpec)
    with local.errors(f"stop {spec.name}", context.host):
        # The last view of a vm that is transient: it is gone when it is off.
        last = shown.vm_of(domain, context.host)
        take(acts(Power.STOPPED, state_of(domain)), domain, request, spec, context)
        return replace(last, state="stopped", active=False)


def take(
    steps: Sequence[Act], domain: Any, request: Request, spec: Ends, context: JobContext
) -> None:
    """Take the steps by which a vm is off. Raises LibvirtFailed if it stays on."""
    for step in steps:
        if step is Act.SHUT_DOWN:
            _end(domain, request, spec, context)
        else:
            _go_on(step, domain, spec.force)


def _go_on(step: Act, domain: Any, force: bool) -> None:
    """Let a guest that stands still go on, so that it can obey; one that can't is ended, if
    forced.
    """
    libvirt = need("libvirt")
    try:
        taken.take(step, domain)
    except libvirt.libvirtError:
        if not force:
            raise
        existing.destroy(domain)


def _end(domain: Any, request: Request, spec: Ends, context: JobContext) -> None:
    """Ask a guest to go off, as the spec of its request says. Raises LibvirtFailed if it stays."""
    libvirt = need("libvirt")
    with context.phase(request.id, "shutdown"):
        try:
            is_off = _shut_down(domain, spec.stop_timeout, context)
        except libvirt.libvirtError:
            # Nobody can press the button of a guest that stands still.
            if not spec.force:
                raise
            is_off = False
    if not is_off:
        if not spec.force:
            raise LibvirtFailed(
                f"cannot {table.act(request)} on host {context.host}: the guest did not"
                f" shut down within {spec.stop_timeout} s (it is {state_of(domain)}); force would"
                " end it"
            )
        existing.destroy(domain)


def _shut_down(domain: Any, timeout: float, context: JobContext) -> bool:
    """Press the power button, again now and then, until the domain is off; False at the timeout."""
    if not local.is_active(domain):
        return True
    _press(domain)
    return goes_off(domain, timeout, context, _press)


def goes_off(
    domain: Any,
    timeout: float,
    context: JobContext,
    remind: Callable[[Any], None] = lambda _domain: None,
) -> bool:
    """Wait until a domain is off, and ``remind`` it now and then; False at the timeout."""
    begun = reminded = told = time.monotonic()
    while local.is_active(domain):
        now = time.monotonic()
        if now - begun >= timeout:
            return False
        if now - reminded >= BUTTON_SECONDS:
            reminded = now
            remind(domain)
        if now - told >= ALIVE_SECONDS:
            told = now
            context.alive()
        time.sleep(existing.POLL_SECONDS)
    return True


def _press(domain: Any) -> None:
    libvirt = need("libvirt")
    try:
        domain.shutdown()
    except libvirt.libvirtError:
        # It may have gone off by itself in the same moment, or be about to.
        if local.is_active(domain) and domain.state()[0] != libvirt.VIR_DOMAIN_SHUTDOWN:
            raise
