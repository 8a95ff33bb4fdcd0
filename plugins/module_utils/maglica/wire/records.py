# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that messages and journals are made of: specs, requests, reports of hosts."""

from __future__ import annotations

import re
from typing import Any

from ..model import names
from ..model import request as model
from ..model.checks import (
    Check,
    anything,
    boolean,
    choice,
    fields,
    fields_schema,
    integer,
    list_of,
    matching,
    named,
    number,
    optional,
    record,
    text,
    uuid,
)

MAX_NICS = 16
MAX_KEYS = 64
MAX_TAGS = 64
MAX_PHASES = 64
MAX_DOMAINS = 4000
MAX_LEFTOVERS = 200

identity = uuid()
name = named(names.object_name)
code = matching(re.compile(r"[a-z_]{1,40}"), "error code")
kind = choice(model.Kind)
state = choice(model.State)
version = integer(0, 1 << 53)
# A vm that others made may have a name that is no host name.
_vm_name = named(names.vm_name)
_vcpus = integer(1, 1024)
_memory = integer(16, 64 << 20)
_bytes = integer(0, 1 << 60)
_tags = list_of(named(names.tag), MAX_TAGS)

nic = record(
    model.Nic,
    network=optional(name),
    bridge=optional(name),
    mac=optional(named(names.mac)),
    addresses=list_of(named(names.interface_address), 16),
    gateways=list_of(named(names.address), 2),
    nameservers=list_of(named(names.address), 8),
    search=list_of(_vm_name, 8),
)
clone_spec = record(
    model.CloneSpec,
    name=_vm_name,
    image=name,
    host=optional(name),
    clone_mode=choice(model.CloneMode),
    pool=optional(name),
    vcpus=optional(_vcpus),
    memory_mib=optional(_memory),
    networks=optional(list_of(nic, MAX_NICS)),
    ssh_authorized_keys=list_of(named(names.ssh_key), MAX_KEYS),
    root_password=optional(named(names.password_hash)),
    tags=_tags,
    start=boolean,
)
vm_spec = record(
    model.VmSpec,
    name=name,
    uuid=identity,
    host=name,
    force=boolean,
    timeout=integer(0, 86400),
    vcpus=optional(_vcpus),
    memory_mib=optional(_memory),
    tags=_tags,
)
image_spec = record(model.ImageSpec, image=name, host=name)
SPECS: dict[model.Kind, Check] = {
    each: {
        model.Kind.CLONE: clone_spec,
        model.Kind.PREPARE: image_spec,
        model.Kind.RELEASE: image_spec,
    }.get(each, vm_spec)
    for each in model.Kind
}


def spec(value: Any, path: str, of: model.Kind) -> model.Spec:
    """Check the spec of a request of kind ``of``."""
    checked: model.Spec = SPECS[of].read(value, path)
    return checked


def by_kind() -> list[dict[str, Any]]:
    """Return what JSON Schema says of ``spec`` beside a ``kind``, for its ``allOf``."""
    return [
        {
            "if": {"properties": {"kind": {"const": each.value}}, "required": ["kind"]},
            "then": {"properties": {"spec": check.schema}},
        }
        for each, check in SPECS.items()
    ]


failure = record(model.Failure, code=code, text=text())
phase_name = text(40)
phase = record(model.Phase, name=phase_name, seconds=number)
phases = list_of(phase, MAX_PHASES)
interface = record(
    model.Interface,
    mac=text(40),
    network=optional(text(200)),
    addresses=list_of(text(60), 64),
)
vm = record(
    model.Vm,
    name=name,
    uuid=identity,
    host=name,
    state=text(40),
    image=optional(name),
    vcpus=optional(integer(0, 1 << 20)),
    memory_mib=optional(_bytes),
    interfaces=list_of(interface, 64),
    disks=list_of(text(1000), 64),
    ssh_host_keys=list_of(text(8200), 8),
    tags=list_of(text(80), MAX_TAGS),
    restart_needed=boolean,
)
_REQUEST: dict[str, Check] = {
    "id": identity,
    "kind": kind,
    "spec": anything,
    "state": state,
    "host": optional(name),
    "who": text(200),
    "version": integer(1, 1 << 53),
    "created": number,
    "updated": number,
    "phase": optional(phase_name),
    "phases": phases,
    "cancelling": boolean,
    "failure": optional(failure),
    "vm": optional(vm),
}
_REQUIRED = frozenset({"id", "kind", "spec"})


def read_request(value: Any, path: str = "request") -> model.Request:
    """Check a whole request, as it stands in replies, journals and what is published to a host."""
    known = fields(value, path, _REQUEST, _REQUIRED)
    known["spec"] = spec(known["spec"], f"{path}.spec", known["kind"])
    return model.Request(**known)


request = Check(
    read_request,
    {"title": "Request", **fields_schema(_REQUEST, _REQUIRED), "allOf": by_kind()},
)
placement = record(model.Placement, host=name, load=number)

domain = record(
    model.DomainSummary,
    name=text(400),
    uuid=identity,
    active=boolean,
    persistent=boolean,
    made=boolean,
    vcpus=integer(0, 1 << 20),
    memory_mib=_bytes,
    disk_bytes=_bytes,
)
pool = record(
    model.PoolSummary,
    name=text(200),
    capacity_bytes=_bytes,
    free_bytes=_bytes,
    shared=optional(text(40)),
)
leftover = record(model.Leftover, path=text(4096), pool=optional(text(200)), allocated_bytes=_bytes)
base = record(
    model.BaseSummary,
    id=text(40),
    image=text(200),
    version=text(64),
    pool=text(200),
    allocated_bytes=_bytes,
    created=number,
    current=optional(boolean),
    areas=boolean,
    vms=integer(0, 1 << 20),
)
look = record(
    model.LookSummary,
    image=text(400),
    version=text(64),
    customizable=boolean,
    reason=optional(text()),
    current=optional(boolean),
)
report = record(
    model.HostReport,
    cpus=integer(0, 1 << 20),
    memory_total_mib=_bytes,
    memory_free_mib=_bytes,
    domains=list_of(domain, MAX_DOMAINS),
    pools=list_of(pool, 256),
    networks=list_of(text(200), 256),
    bases=list_of(base, 1000),
    leftovers=list_of(leftover, MAX_LEFTOVERS),
    looks=list_of(look, 1000),
    problem=optional(text()),
)
host_status = record(
    model.HostStatus, host=name, alive=boolean, seen=number, weight=number, report=report
)
