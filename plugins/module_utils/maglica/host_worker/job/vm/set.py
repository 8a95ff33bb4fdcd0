# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of a vm whether its host starts it, what it is for, and whether it is protected."""

from __future__ import annotations

from typing import Any, Callable

from ....libvirtd import local
from ....model.request import Request
from ....model.vm import Domain
from ....verbs.set import SetSpec
from ..context import JobContext
from . import existing, metadata, shown


def set_(request: Request, context: JobContext) -> Domain:
    """Set what is asked for, whether the vm runs or not."""
    domain = existing.find(request, context)
    spec = existing.spec_of(request, SetSpec)
    with local.errors(f"set {spec.name}", context.host):
        vm = shown.vm_of(domain, context.host)
        runs = shown.as_it_runs(domain, context.host)
        steps = _steps(domain, spec, vm, runs)
        if steps:
            with context.phase(request.id, "define"):
                for step in steps:
                    step()
            vm = shown.vm_of(domain, context.host)
    return vm


def _steps(domain: Any, spec: SetSpec, vm: Domain, runs: Domain) -> list[Callable[[], None]]:
    """Return what is to be done. Protection comes first: what is asked for together with it may
    fail. ``runs`` is the vm with what is noted of it as it runs.
    """
    steps: list[Callable[[], None]] = []
    if spec.protected is not None and {vm.protected, runs.protected} != {spec.protected}:
        steps.append(lambda: metadata.set_protected(domain, bool(spec.protected)))
    description = spec.description or None
    if spec.description is not None and {vm.description, runs.description} != {description}:
        steps.append(lambda: metadata.set_description(domain, description))
    if spec.autostart not in (None, vm.autostart):
        steps.append(lambda: domain.setAutostart(int(bool(spec.autostart))))
    return steps
