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
    an_object,
    anything,
    boolean,
    choice,
    fields,
    fields_schema,
    integer,
    list_of,
    matching,
    moment,
    named,
    number,
    optional,
    record,
    text,
    uuid,
)
from ..model.image import ImageVersion
from ..model.reported import (
    AddressSource,
    PoolState,
    ReportedDomain,
    ReportedHost,
    ReportedInterface,
)
from ..model.text import MAX_PHASE
from ..model.vm import Disk, Domain, Graphics, Interface, SerialConsole
from ..model.worker import ClientWorkerStatus, Worker
from ..verbs import table
from ..verbs.verb import MAX_TAGS

MAX_PHASES = 64
MAX_DOMAINS = 4000
MAX_LEFTOVERS = 200
MAX_POOLS = 256
MAX_NETWORKS = 256
MAX_BASES = 1000
MAX_LOOKS = 1000
MAX_IMAGES = 1000
MAX_VERSIONS = 256
MAX_PROBLEMS = 32
MAX_PROBLEM = 600
# Of one interface, and of what one source knows of it; of a domain so many interfaces and disks.
MAX_PARTS = 64
# Characters of a name that libvirt gives, of a domain's or image's, and of a path.
MAX_NAME = 200
MAX_TITLE = 400
MAX_PATH = 4096
MAX_TYPE = 40
MAX_ORIGIN = 1000
# The most bytes of a vm in a result: a message has room for as many of phases and failure.
MAX_VM_BYTES = 1 << 19
# The most bytes, MiB or steps, and the most of what is counted one by one.
MAX_AMOUNT = 1 << 60
MAX_COUNT = 1 << 20

identity = uuid()
name = named(names.object_name)
vm_name = named(names.domain_name)
code = matching(re.compile(r"[a-z_]{1,40}"), "error code")
kind = table.NAME
state = choice(model.State)
version = integer(0, 1 << 53)
count = integer(0, MAX_AMOUNT)
# Names that nobody knows yet are passed over.
features = list_of(matching(re.compile(r"[a-z][a-z0-9_]{0,39}"), "feature"), 64)
_bytes = integer(0, MAX_AMOUNT)


def by_kind() -> list[dict[str, Any]]:
    """Return what JSON Schema says of ``spec`` beside a ``kind``, for its ``allOf``."""
    return [
        {
            "if": {"properties": {"kind": {"const": verb.name}}, "required": ["kind"]},
            "then": {"properties": {"spec": verb.record.schema}},
        }
        for verb in table.VERBS
    ]


failure = record(model.Failure, code=code, text=text())
addresses = an_object(
    "Addresses",
    {source.value: list_of(text(60), MAX_PARTS) for source in AddressSource},
    frozenset(),
)
phase_name = text(MAX_PHASE)
phase = record(model.Phase, name=phase_name, seconds=number)
phases = list_of(phase, MAX_PHASES)
# What is told of an interface beside its addresses.
_INTERFACE: dict[str, Check] = {
    "mac": text(40),
    **dict.fromkeys(("network", "bridge", "filter"), optional(text(MAX_NAME))),
    **dict.fromkeys(("model", "link", "virtualport"), optional(text(MAX_TYPE))),
    "vlan": list_of(integer(0, MAX_COUNT), MAX_PARTS),
}
interface = record(Interface, addresses=list_of(text(60), MAX_PARTS), **_INTERFACE)
disk = record(
    Disk,
    target=text(MAX_TYPE),
    device=text(MAX_TYPE),
    format=optional(text(MAX_TYPE)),
    source=optional(text(1000)),
    capacity_bytes=optional(_bytes),
    allocation_bytes=optional(_bytes),
    name=optional(text(MAX_TYPE)),
    pool=optional(text(MAX_NAME)),
    bus=optional(text(MAX_TYPE)),
    serial=optional(text(MAX_NAME)),
    cache=optional(text(MAX_TYPE)),
    discard=optional(text(MAX_TYPE)),
)
_port = optional(integer(1, (1 << 16) - 1))
graphics = record(
    Graphics,
    type=text(MAX_TYPE),
    listen=optional(text(MAX_NAME)),
    port=_port,
    tls_port=_port,
    socket=optional(text(MAX_PATH)),
)
console = record(SerialConsole, type=text(MAX_TYPE), path=optional(text(MAX_PATH)))
# What a domain is, wherever it is told.
_DOMAIN: dict[str, Check] = {
    "uuid": identity,
    "host": name,
    "state": text(40),
    "active": boolean,
    "made": optional(boolean),
    "is_image": boolean,
    "image": optional(name),
    "image_version": optional(text(64)),
    "request": optional(text(MAX_NAME)),
    "created": optional(moment),
    "who": optional(text(200)),
    "clone_mode": optional(text(MAX_TYPE)),
    "base": optional(text(40)),
    "vcpus": optional(integer(0, MAX_COUNT)),
    "memory_mib": optional(_bytes),
    "disks": list_of(disk, MAX_PARTS),
    "tags": list_of(text(80), MAX_TAGS),
    "checksum": optional(text(MAX_NAME)),
    "ssh_host_keys": list_of(matching(names.SSH_HOST_KEY, "public SSH host key"), 8),
    "restart_needed": boolean,
    "customize": optional(text(MAX_TYPE)),
    "customize_reason": optional(text()),
    "asked": list_of(text(60), 16),
    "adopted": boolean,
    "foreign_disks": list_of(text(MAX_PATH), MAX_PARTS),
    "autostart": optional(boolean),
    "description": optional(text()),
    "protected": boolean,
    "kept_disks": list_of(text(MAX_TYPE), MAX_PARTS),
    "boot_order": list_of(text(MAX_TYPE), 16),
    "graphics": list_of(graphics, MAX_PARTS),
    "console": optional(console),
    "next_interfaces": optional(list_of(interface, MAX_PARTS)),
}
vm = record(Domain, name=vm_name, interfaces=list_of(interface, MAX_PARTS), **_DOMAIN)
reported_interface = record(ReportedInterface, addresses=addresses, **_INTERFACE)
image_version = record(
    ImageVersion,
    checksum=optional(text(MAX_NAME)),
    origin=optional(text(MAX_ORIGIN)),
    format=optional(text(MAX_TYPE)),
    size_bytes=optional(_bytes),
    request=text(MAX_NAME),
    created=optional(moment),
)
REPORTED_DOMAIN: dict[str, Check] = {
    **_DOMAIN,
    "name": text(MAX_TITLE),
    "image": optional(text(MAX_NAME)),
    "interfaces": list_of(reported_interface, MAX_PARTS),
    "versions": list_of(image_version, MAX_VERSIONS),
    "next_vcpus": optional(integer(0, MAX_COUNT)),
    "next_memory_mib": optional(_bytes),
}
reported_domain = record(ReportedDomain, **REPORTED_DOMAIN)
_REQUEST: dict[str, Check] = {
    "id": identity,
    "kind": kind,
    "spec": anything,
    "state": state,
    "host": optional(name),
    "who": text(200),
    "version": integer(1, 1 << 53),
    "created": moment,
    "updated": moment,
    "phase": optional(phase_name),
    "phases": phases,
    "cancelling": boolean,
    "failure": optional(failure),
    "vm": optional(vm),
    "parent": optional(identity),
    "peer": optional(name),
    "done": optional(count),
    "total": optional(count),
}
_REQUIRED = frozenset({"id", "kind", "spec"})


def read_request(value: Any, path: str = "request") -> model.Request:
    """Check a whole request, as it stands in replies, journals and what is published to a host."""
    known = fields(value, path, _REQUEST, _REQUIRED)
    known["spec"] = table.spec(known["spec"], f"{path}.spec", known.pop("kind"))
    return model.Request(**known)


request = Check(
    read_request,
    {"title": "Request", **fields_schema(_REQUEST, _REQUIRED), "allOf": by_kind()},
)
placement = record(model.Placement, host=name, load=number)

domain = record(
    model.DomainSummary,
    name=text(MAX_TITLE),
    uuid=identity,
    active=boolean,
    may_be_image=boolean,
    made=boolean,
    vcpus=integer(0, MAX_COUNT),
    memory_mib=_bytes,
    disk_bytes=_bytes,
    first_disk_bytes=_bytes,
)
pool = record(
    model.PoolSummary,
    name=text(MAX_NAME),
    capacity_bytes=_bytes,
    free_bytes=_bytes,
    shared=optional(text(MAX_TYPE)),
)
leftover = record(
    model.Leftover, path=text(MAX_PATH), pool=optional(text(MAX_NAME)), allocated_bytes=_bytes
)
base = record(
    model.BaseSummary,
    id=text(40),
    image=text(MAX_NAME),
    version=text(64),
    pool=text(MAX_NAME),
    allocated_bytes=_bytes,
    created=moment,
    current=optional(boolean),
    areas=boolean,
    vms=integer(0, MAX_COUNT),
    way=choice(model.Customize),
)
look = record(
    model.LookSummary,
    image=text(MAX_TITLE),
    version=text(64),
    customizable=boolean,
    reason=optional(text()),
    current=optional(boolean),
    way=optional(choice(model.Customize)),
    distro=text(MAX_TYPE),
    release=text(MAX_TYPE),
    stack=text(MAX_TITLE),
    layout=text(MAX_TITLE),
)
image = record(
    model.ImageSummary,
    name=text(MAX_TITLE),
    uuid=identity,
    made=boolean,
    checksum=optional(text(MAX_NAME)),
    origin=optional(text(MAX_ORIGIN)),
    versions=integer(0, MAX_COUNT),
)
pool_state = record(
    PoolState,
    name=text(MAX_NAME),
    active=boolean,
    capacity_bytes=_bytes,
    free_bytes=_bytes,
)
_SHOWN_OF_HOST: dict[str, Check] = {
    "uri": optional(text(MAX_ORIGIN)),
    "hostname": optional(text(MAX_NAME)),
    "libvirt_version": optional(text(MAX_TYPE)),
    "hypervisor_version": optional(text(MAX_TYPE)),
    "libvirt_error": optional(text()),
    "networks": list_of(text(MAX_NAME), MAX_NETWORKS),
    "problems": list_of(text(MAX_PROBLEM), MAX_PROBLEMS),
}
_REPORT: dict[str, Check] = {
    "cpus": integer(0, MAX_COUNT),
    "memory_total_mib": _bytes,
    "memory_free_mib": _bytes,
    "domains": list_of(domain, MAX_DOMAINS),
    "pools": list_of(pool, MAX_POOLS),
    "bases": list_of(base, MAX_BASES),
    "leftovers": list_of(leftover, MAX_LEFTOVERS),
    "looks": list_of(look, MAX_LOOKS),
    "images": list_of(image, MAX_IMAGES),
    "problem": optional(text()),
    "taken": moment,
    "net_devices": optional(list_of(text(MAX_NAME), MAX_NETWORKS)),
    "pool_states": list_of(pool_state, MAX_POOLS),
    **_SHOWN_OF_HOST,
}
report = record(model.HostReport, **_REPORT)
# Those fields of a report that a host tells: all that have changed.
told_report = an_object("HostReport", _REPORT, frozenset())
reported_host = record(
    ReportedHost,
    name=name,
    alive=boolean,
    weight=number,
    age_s=optional(number),
    cpus=optional(integer(0, MAX_COUNT)),
    memory_total_mib=optional(_bytes),
    memory_free_mib=optional(_bytes),
    pools=list_of(pool_state, MAX_POOLS),
    worker_version=optional(text(MAX_TYPE)),
    **_SHOWN_OF_HOST,
)
host_status = record(
    model.HostStatus,
    host=name,
    alive=boolean,
    seen=optional(moment),
    weight=number,
    report=report,
    worker_version=optional(text(MAX_TYPE)),
)
worker = record(Worker, version=text(MAX_TYPE), instance=uuid())
client_worker = record(
    ClientWorkerStatus,
    version=text(MAX_TYPE),
    problems=list_of(text(MAX_PROBLEM), MAX_PROBLEMS),
)
