# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself, checked field by field; messages.py has the messages."""

from __future__ import annotations

from ..model import request
from ..model.checks import (
    boolean,
    integer,
    list_of,
    number,
    optional,
    record,
    text,
    uuid,
)

MAX_DOMAINS = 4000
MAX_LEFTOVERS = 200

_bytes = integer(0, 1 << 60)

domain = record(
    request.DomainSummary,
    name=text(400),
    uuid=uuid(),
    active=boolean,
    persistent=boolean,
    made=boolean,
    vcpus=integer(0, 1 << 20),
    memory_mib=_bytes,
    disk_bytes=_bytes,
)
pool = record(
    request.PoolSummary,
    name=text(200),
    capacity_bytes=_bytes,
    free_bytes=_bytes,
    shared=optional(text(40)),
)
leftover = record(
    request.Leftover, path=text(4096), pool=optional(text(200)), allocated_bytes=_bytes
)
base = record(
    request.BaseSummary,
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
    request.LookSummary,
    image=text(400),
    version=text(64),
    customizable=boolean,
    reason=optional(text()),
    current=optional(boolean),
)
report = record(
    request.HostReport,
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
