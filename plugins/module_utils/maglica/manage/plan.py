# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what must be asked of which host so that a vm becomes as wanted. Pure: values in, a plan
or an error out; task.py looks and acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..fleet.snapshot import Found
from ..model.errors import (
    HostDown,
    NameTaken,
    NotOwn,
    UuidTwice,
    VmProtected,
    VmUnknown,
)
from ..model.request import CloneMode, Customize, Request, Spec
from ..model.vm import Domain
from ..verbs import table
from ..verbs.clone import CloneSpec, marks
from ..verbs.hardware.disks import check_all_new
from ..verbs.remove import RemoveSpec, not_ours
from ..verbs.table import Presence
from ..verbs.verb import Change, Leaves, Verb
from . import kept, written
from .wanted import Wanted

# What a vm is made with, by its names in a spec and in the modules; only some of it can be changed.
_FIXED = (
    *((name, name) for name in ("image", "pool", "customize", "ssh_authorized_keys", "user")),
    *(("interfaces", "interfaces"), ("disk_size_mib", "disk_size"), ("guest_name", "hostname")),
)
_CHANGEABLE = (
    *((name, name) for name in ("clone_mode", "vcpus", "tags")),
    *((name, name) for name in ("autostart", "description", "protected")),
    *(("memory_mib", "memory"), ("start", "state"), ("paused", "state")),
)
_GONE = {"state": "absent"}


@dataclass(frozen=True)
class Plan:
    """What to do: requests to submit, one after the other. ``before`` and ``after`` describe the
    vm, for a diff; ``does`` has the part of ``after`` of each of the last steps.

    ``joined`` is an open request about that vm, which must end first; then everything is looked at
    and planned anew, and ``steps`` are only foreseen. ``cancel``: it is to be cancelled. ``ours``:
    it does what the task would ask for, so that how it ends is how the task ends. ``kept`` are
    options that are asked for and stay as the vm that is there has them.
    """

    existing: Domain | None = None
    steps: tuple[Spec, ...] = ()
    joined: Request | None = None
    cancel: bool = False
    ours: bool = False
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    does: tuple[dict[str, Any], ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def is_foreseen(self) -> bool:
        """Whether what is there is only known when ``joined``, which is somebody else's, ends."""
        return self.joined is not None and not (self.ours or self.cancel)


def decide(wanted: Wanted, found: Found, pending: Request | None) -> Plan:
    """Return the plan for ``wanted``.

    ``found`` has the domains of that name on all hosts, ``pending`` is the open clone request for
    that name, else the newest open request about a vm of that name. Raises NameTaken, UuidTwice,
    VmUnknown, HostDown or LibvirtFailed, with the host in the text.
    """
    if wanted.state is Presence.ABSENT or wanted.adopt:
        _need_one_of_each_uuid(wanted, found.domains)
    existing = _the_one(wanted, found.domains)
    if pending is not None and table.of(pending).makes_vm:
        if wanted.state is Presence.ABSENT:
            return _cancel(wanted, existing, pending)
        return _join(wanted, found, pending)
    if existing is not None:
        _check_ours(wanted, existing)
        if wanted.new:
            raise NameTaken(f"vm {wanted.name} is on host {existing.host} already")
    if pending is not None:
        return _beside(wanted, existing, found, pending)
    return _alone(wanted, existing, found)


def _alone(wanted: Wanted, existing: Domain | None, found: Found) -> Plan:
    """Plan for a vm about which nothing is under way."""
    if wanted.state is Presence.ABSENT:
        return _remove(wanted, existing, found)
    return _make(wanted, found) if existing is None else _adjust(wanted, existing)


def _beside(wanted: Wanted, existing: Domain | None, found: Found, pending: Request) -> Plan:
    """Plan for a vm about which a request is open: an equal one is joined, and one by which it
    goes, comes up or goes off is waited for, since what is seen now will not last.
    """
    now = _alone(wanted, existing, found)
    spec: Any = pending.spec
    verb = table.of(pending)
    if now.steps[:1] == (spec,) and not pending.cancelling:
        return replace(now, steps=now.steps[1:], joined=pending, ours=True)
    is_about_it = spec.uuid == existing.uuid if existing else verb.leaves is Leaves.GONE
    passes = verb.leaves is Leaves.AS_IT_IS and not verb.runs_vm
    if not is_about_it or passes or wanted.host not in (None, pending.host):
        return now
    left = existing if pending.cancelling else _left_by(verb, existing)
    return replace(_alone(wanted, left, found), joined=pending)


def _left_by(verb: Verb, existing: Domain | None) -> Domain | None:
    """Return a vm as a request of this verb leaves it."""
    if existing is None or verb.leaves is Leaves.GONE:
        return None
    left = {Leaves.STOPPED: "stopped", Leaves.PAUSED: "paused"}
    state = left.get(verb.leaves, "running")
    return replace(existing, active=state != "stopped", state=state)


def _the_one(wanted: Wanted, domains: Sequence[Domain]) -> Domain | None:
    """Return the domain that is meant; ``host`` tells when two hosts have one of that name."""
    chosen = [domain for domain in domains if domain.host == wanted.host]
    if len(domains) > 1 and len(chosen) != 1:
        hosts = " and ".join(sorted(domain.host for domain in domains))
        if all(domain.is_image for domain in domains):
            raise NameTaken(f"{wanted.name} is an original image on {hosts}, not a vm")
        raise NameTaken(
            f"several hosts have a vm {wanted.name}: {hosts}; set host to say which one"
        )
    return next(iter(chosen or domains), None)


def _need_one_of_each_uuid(wanted: Wanted, domains: Sequence[Domain]) -> None:
    """Raise UuidTwice when one vm is seen on two hosts, whichever of them is meant."""
    for domain in domains:
        hosts = [other.host for other in domains if other.uuid == domain.uuid]
        is_ours = domain.adopted or (domain.made and not domain.is_image)
        if (is_ours or wanted.adopt) and len(hosts) > 1:
            act = "adopt" if wanted.adopt else "remove"
            raise UuidTwice.of(domain.name, domain.uuid, sorted(hosts), act)


def _check_ours(wanted: Wanted, existing: Domain) -> None:
    where = f"on host {existing.host}"
    kept.need_definition(existing)
    kept.need_all(wanted, existing)
    if wanted.host is not None and existing.host != wanted.host:
        raise NameTaken(f"vm {wanted.name} is {where}, not on {wanted.host}: vms are not moved")
    if wanted.clone_mode is CloneMode.FULL and not existing.made:
        raise NotOwn(
            f"vm {wanted.name} {where} was not made by Maglica, so that its disks are left as they"
            " are: clone_mode=full, or a flatten, is for a linked clone"
        )
    if wanted.adopt is not None and not existing.made:
        return
    if existing.is_image:
        raise NameTaken(f"{wanted.name} is an original image {where}, not a vm")
    if not (existing.made or existing.adopted):
        raise NameTaken(
            f"vm {wanted.name} {where} was not made by Maglica, so it is left alone (adopt would"
            " take it over)"
        )
    if wanted.image is not None and existing.adopted:
        raise NameTaken(f"vm {wanted.name} {where} was adopted, not made from image {wanted.image}")
    if wanted.image is not None and existing.image != wanted.image:
        raise NameTaken(
            f"vm {wanted.name} {where} was made from image {existing.image}, not {wanted.image}"
        )


def _cancel(wanted: Wanted, existing: Domain | None, pending: Request) -> Plan:
    made: Any = pending.spec
    if made.protected:
        raise VmProtected.of("remove", wanted.name, pending.host)
    is_other = wanted.image not in (None, made.image)
    _need_no_other(wanted, pending, ["image"] if is_other else [])
    before = {"state": f"clone {pending.state.value}", "host": pending.host}
    return Plan(existing, joined=pending, cancel=True, before=before, after=_GONE)


def _remove(wanted: Wanted, existing: Domain | None, found: Found) -> Plan:
    if existing is None:
        need_all_hosts(wanted.name, found, wanted.host)
        return Plan(before=_GONE, after=_GONE)
    if existing.protected:
        raise VmProtected.of("remove", existing.name, existing.host)
    kept.refuse_lost(wanted, existing)
    pinned = (existing.name, existing.uuid, existing.host)
    if not existing.adopted:
        return Plan(existing, (RemoveSpec(*pinned),), before=_view(existing), after=_GONE)
    if not wanted.remove_foreign_disks:
        raise NotOwn(
            f"cannot remove vm {existing.name} on host {existing.host}:"
            f" {not_ours(existing.foreign_disks)}"
        )
    before = {**_view(existing), "foreign_disks": list(existing.foreign_disks)}
    after = {**_GONE, "foreign_disks": []}
    return Plan(existing, (RemoveSpec(*pinned, True),), before=before, after=after)


def need_all_hosts(name: str, found: Found, only: str | None = None) -> None:
    """Raise HostDown when the vm may be on a host that does not answer, or on ``only`` that one."""
    silent = [host for host in found.unreachable if only in (None, host.host)]
    if silent:
        reasons = "; ".join(f"host {host.host}: {host.text}" for host in silent)
        raise HostDown(f"cannot tell whether vm {name} is there: {reasons}")


def _join(wanted: Wanted, found: Found, pending: Request) -> Plan:
    """Join the request that makes this vm; one that makes another is in the way.

    What is to be changed of what it makes is a step for later: then the vm is there, and need not
    be restarted. One that is being cancelled is only waited for: then the vm is made.
    """
    if pending.cancelling:
        return replace(_make(wanted, found), steps=(), joined=pending)
    # Nobody is told the secrets of one that is under way.
    made, asked = pending.spec, wanted.clone.without_secrets()
    compared = () if wanted.image is None else (*_FIXED, *(_CHANGEABLE if wanted.new else ()))
    other = [what for name, what in compared if getattr(asked, name) != getattr(made, name)]
    _need_no_other(wanted, pending, other)
    is_ours = wanted.image is not None
    left = wanted.once_done(table.of(pending)) if is_ours else wanted
    plan = replace(_adjust(left, _promised(pending)), existing=None, joined=pending)
    if not is_ours:
        return plan
    after = {name: value for name, value in plan.after.items() if value not in (None, [])}
    return replace(plan, ours=True, before={"state": "absent"}, after=after)


def _need_no_other(wanted: Wanted, pending: Request, other: Sequence[str]) -> None:
    """Raise NameTaken when what is being made differs in ``other``, or is on another host."""
    differing = [*other, *(["host"] if wanted.host not in (None, pending.host) else [])]
    if differing:
        raise NameTaken(
            f"vm {wanted.name} is just being made on host {pending.host} with another"
            f" {' and '.join(differing)} (request {pending.id})"
        )


def _promised(pending: Request) -> Domain:
    """Return the vm that a clone request makes, as far as that is known."""
    spec: Any = pending.spec
    return Domain(
        name=spec.name,
        uuid="",
        host=pending.host or "",
        state=_first_state(spec),
        active=spec.start,
        made=True,
        image=spec.image,
        clone_mode=spec.clone_mode.value,
        customize=None if spec.customize is Customize.AUTO else spec.customize.value,
        asked=tuple(marks(spec).values()),
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        tags=spec.tags,
        autostart=spec.autostart,
        description=spec.description or None,
        protected=spec.protected,
        **written.hardware(spec),
    )


def _first_state(spec: CloneSpec) -> str:
    """Return the state that a new vm has."""
    if not spec.start:
        return "stopped"
    return "paused" if spec.paused else "running"


def _make(wanted: Wanted, found: Found) -> Plan:
    if wanted.image is None:
        need_all_hosts(wanted.name, found, wanted.host)
        otherwise = "" if wanted.adopt is not None else "; set image to create it"
        raise VmUnknown(f"there is no vm {wanted.name}{otherwise}")
    spec = wanted.clone
    after = {
        "state": _first_state(spec),
        "host": spec.host,
        "image": spec.image,
        "clone_mode": spec.clone_mode.value,
        "pool": spec.pool,
        "vcpus": spec.vcpus,
        "memory_mib": spec.memory_mib,
        "disk_size_mib": spec.disk_size_mib,
        "tags": list(spec.tags) or None,
        "autostart": spec.autostart or None,
        "description": spec.description or None,
        "protected": spec.protected or None,
        **written.of(spec),
    }
    check_all_new(wanted.disks)
    known = {name: value for name, value in after.items() if value is not None}
    return Plan(steps=(spec,), before={"state": "absent"}, after=known)


def _adjust(wanted: Wanted, existing: Domain) -> Plan:
    """Plan for a vm that is there: each verb tells whether it is needed."""
    kept.check_disk_size(wanted, existing)
    before, after = _view(existing), _view(existing)
    changes: list[Change] = []
    for verb in table.VERBS:
        for change in verb.changes(wanted, existing):
            changes.insert(0 if change.first else len(changes), change)
            before.update(change.before)
            after.update(change.after)
    steps = tuple(change.spec for change in changes)
    does = tuple(change.after for change in changes)
    unchanged = kept.options(wanted, existing)
    return Plan(existing, steps, before=before, after=after, does=does, kept=unchanged)


def _state(domain: Domain) -> str:
    if not domain.active:
        return "stopped"
    return "running" if domain.runs else domain.state


def _view(domain: Domain) -> dict[str, Any]:
    return {
        "state": _state(domain),
        "host": domain.host,
        "image": domain.image,
        "vcpus": domain.vcpus,
        "memory_mib": domain.memory_mib,
        "tags": list(domain.tags),
    }
