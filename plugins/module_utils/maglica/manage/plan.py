# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what must be asked of which host so that a vm becomes as wanted. Pure: values in, a plan
or an error out; vm_apply.py looks and acts.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..fleet.snapshot import Found
from ..model import names
from ..model.errors import (
    HostDown,
    HostUnknown,
    MessageInvalid,
    NameInvalid,
    NameTaken,
    UuidTwice,
    VmUnknown,
)
from ..model.plain import plain
from ..model.request import CloneMode, Nic, Request, Spec
from ..model.vm import Domain
from ..verbs import table
from ..verbs.clone import CLONE, CloneSpec
from ..verbs.remove import RemoveSpec


class Presence(str, enum.Enum):
    """The state that a vm shall have; ``PRESENT`` leaves a vm that is there on or off as it is."""

    PRESENT = "present"
    RUNNING = "running"
    STOPPED = "stopped"
    ABSENT = "absent"


@dataclass(frozen=True)
class Wanted:
    """A vm as the user wants it. What is None is not asked for.

    ``pool``, ``networks``, ``ssh_authorized_keys`` and ``root_password`` count when the vm is made,
    and are not compared with a vm that is there. A linked vm that shall be full is flattened; a
    full one stays so. ``tags`` are all that it shall have. ``stop_timeout`` is in seconds.
    ``new``: the vm must not be there yet.
    """

    name: str
    state: Presence = Presence.PRESENT
    image: str | None = None
    host: str | None = None
    clone_mode: CloneMode = CloneMode.LINKED
    pool: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    networks: tuple[Nic, ...] | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    root_password: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] | None = None
    force: bool = False
    stop_timeout: int = 120
    new: bool = False

    def clone_spec(self, image: str) -> CloneSpec:
        """Return what to ask for when the vm is not there."""
        return CloneSpec(
            name=self.name,
            image=image,
            host=self.host,
            clone_mode=self.clone_mode,
            pool=self.pool,
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            networks=self.networks,
            ssh_authorized_keys=self.ssh_authorized_keys,
            root_password=self.root_password,
            tags=_distinct(self.tags or ()),
            start=self.state is not Presence.STOPPED,
        )


@dataclass(frozen=True)
class Plan:
    """What to do: requests to submit, one after the other. ``before`` and ``after`` describe the
    vm, for a diff.

    ``joined`` is an open clone request for that name, which must end first; then everything is
    looked at and planned anew. ``cancel``: it is to be cancelled. ``ours``: it asks for just this
    vm, so that how it ends is how the task ends.
    """

    existing: Domain | None = None
    steps: tuple[Spec, ...] = ()
    joined: Request | None = None
    cancel: bool = False
    ours: bool = False
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return self.before != self.after


def validate(wanted: Wanted) -> None:
    """Check the form of everything that is wanted, as the client worker does.

    Raises NameInvalid, which names the parameter, or NameTaken.
    """
    names.vm_name(wanted.name)
    for what, value in (("image", wanted.image), ("host", wanted.host), ("pool", wanted.pool)):
        if value is not None:
            try:
                names.object_name(value)
            except NameInvalid as error:
                raise NameInvalid(f"{what}: {error}") from None
    if wanted.name == wanted.image:
        raise NameTaken(f"vm {wanted.name} can't have the name of the original image itself")
    for index, nic in enumerate(wanted.networks or ()):
        if nic.network and nic.bridge:
            raise NameInvalid(f"networks[{index}]: names both a network and a bridge")
        if not nic.addresses and (nic.gateways or nic.nameservers or nic.search):
            raise NameInvalid(
                f"networks[{index}]: gateways, nameservers and search need an address there, too"
            )
    spec = wanted.clone_spec(wanted.image or "none")
    try:
        CLONE.record(plain(spec), "")
    except MessageInvalid as error:
        # The user knows the parameter, and no message.
        raise NameInvalid(str(error).lstrip(".").replace("memory_mib:", "memory:")) from None


def decide(wanted: Wanted, found: Found, pending: Request | None) -> Plan:
    """Return the plan for ``wanted``.

    ``found`` has the domains of that name on all hosts, ``pending`` is the open clone request for
    that name. Raises NameTaken, UuidTwice, VmUnknown, HostUnknown or HostDown, with the host in the
    text.
    """
    if wanted.state is Presence.ABSENT:
        _need_one_of_each_uuid(found.domains)
    existing = _the_one(wanted, found.domains)
    if existing is not None and pending is None:
        _check_ours(wanted, existing)
        if wanted.new:
            raise NameTaken(f"vm {wanted.name} is on host {existing.host} already")
    if wanted.state is Presence.ABSENT:
        return _remove(wanted, existing, found, pending)
    if pending is not None:
        return _join(wanted, pending)
    if existing is None:
        return _make(wanted, found)
    return _adjust(wanted, existing)


def _the_one(wanted: Wanted, domains: Sequence[Domain]) -> Domain | None:
    """Return the domain that is meant; ``host`` tells when two hosts have one of that name."""
    chosen = [domain for domain in domains if domain.host == wanted.host]
    if len(domains) > 1 and len(chosen) != 1:
        hosts = " and ".join(sorted(domain.host for domain in domains))
        if all(domain.is_image for domain in domains):
            raise NameTaken(f"{wanted.name} is an original image on {hosts}, not a vm")
        raise NameTaken(f"the name {wanted.name} is on several hosts, {hosts}: say which host")
    return next(iter(chosen or domains), None)


def _need_one_of_each_uuid(domains: Sequence[Domain]) -> None:
    """Raise UuidTwice when one vm is seen on two hosts, whichever of them is meant."""
    for domain in domains:
        hosts = [other.host for other in domains if other.uuid == domain.uuid]
        if domain.made and len(hosts) > 1:
            raise UuidTwice.of(domain.name, domain.uuid, sorted(hosts))


def _check_ours(wanted: Wanted, existing: Domain) -> None:
    where = f"on host {existing.host}"
    if existing.is_image:
        raise NameTaken(f"{wanted.name} is an original image {where}, not a vm")
    if not existing.made:
        raise NameTaken(f"vm {wanted.name} {where} was not made by Maglica, so it is left alone")
    if wanted.image is not None and existing.image != wanted.image:
        raise NameTaken(
            f"vm {wanted.name} {where} was made from image {existing.image}, not {wanted.image}"
        )
    if wanted.host is not None and existing.host != wanted.host:
        raise NameTaken(f"vm {wanted.name} is {where}, not on {wanted.host}: vms are not moved")


def _remove(wanted: Wanted, existing: Domain | None, found: Found, pending: Request | None) -> Plan:
    gone = {"state": "absent"}
    if pending is not None:
        before = {"state": f"clone {pending.state.value}", "host": pending.host}
        return Plan(existing, joined=pending, cancel=True, before=before, after=gone)
    if existing is None:
        _need_all_hosts(wanted, found)
        return Plan(before=gone, after=gone)
    steps = (RemoveSpec(existing.name, existing.uuid, existing.host),)
    return Plan(existing, steps, before=_view(existing), after=gone)


def _need_all_hosts(wanted: Wanted, found: Found) -> None:
    """The vm may be on a host that does not answer: then nothing can be said of it."""
    silent = [host for host in found.unreachable if wanted.host in (None, host.host)]
    if silent:
        reasons = "; ".join(f"host {host.host}: {host.text}" for host in silent)
        raise HostDown(f"cannot tell whether vm {wanted.name} is there: {reasons}")


def _join(wanted: Wanted, pending: Request) -> Plan:
    """Join the request that makes this very vm; one that makes another is in the way.

    One that is being cancelled is only waited for: then the vm is made.
    """
    if wanted.image is None:
        return Plan(joined=pending)
    asked = _comparable(wanted.clone_spec(wanted.image))
    if pending.cancelling:
        before, after = _made({**asked, "host": wanted.host})
        return Plan(joined=pending, before=before, after=after)
    there = _comparable(pending.spec)
    other = [name for name in asked if asked[name] != there.get(name)]
    if wanted.host not in (None, pending.host):
        other.append("host")
    if other:
        raise NameTaken(
            f"vm {wanted.name} is just being made on host {pending.host} with another"
            f" {' and '.join(other)} (request {pending.id})"
        )
    before, after = _made({**asked, "host": pending.host})
    return Plan(joined=pending, ours=True, before=before, after=after)


def _comparable(spec: Spec) -> dict[str, Any]:
    """Return what must be equal. A request that is shown has no secrets, and got its own host."""
    fields: dict[str, Any] = plain(spec.without_secrets())
    del fields["host"]
    return fields


def _make(wanted: Wanted, found: Found) -> Plan:
    if wanted.image is None:
        _need_all_hosts(wanted, found)
        raise VmUnknown(f"no host has a vm {wanted.name}; to make it, say from which image")
    spec = wanted.clone_spec(wanted.image)
    before, after = _made(plain(spec))
    return Plan(steps=(spec,), before=before, after=after)


def _made(spec: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    after = {
        "state": "running" if spec["start"] else "stopped",
        "host": spec["host"],
        "image": spec["image"],
        "vcpus": spec["vcpus"],
        "memory": spec["memory_mib"],
        "tags": spec["tags"] or None,
    }
    return {"state": "absent"}, {name: value for name, value in after.items() if value is not None}


def _adjust(wanted: Wanted, existing: Domain) -> Plan:
    """Plan for a vm that is there: each verb tells whether it is needed."""
    before = _view(existing)
    after = dict(before)
    steps: list[Spec] = []
    for verb in table.VERBS:
        change = verb.change(wanted, existing) if verb.change else None
        if change is not None:
            steps.insert(0 if change.first else len(steps), change.spec)
            before.update(change.before)
            after.update(change.after)
    return Plan(existing, tuple(steps), before=before, after=after)


def _distinct(tags: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


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
        "memory": domain.memory_mib,
        "tags": list(domain.tags),
    }


def check_host(wanted: Wanted, known: Sequence[str]) -> None:
    """Raise HostUnknown unless the host that is named is one of ``known``."""
    if wanted.host is not None and wanted.host not in known:
        raise HostUnknown(
            f"host {wanted.host} is not in the configuration, which has {', '.join(sorted(known))}"
        )
