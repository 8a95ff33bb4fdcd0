# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for what hosts report, all of it valid."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st
from maglica.model import reported, request, worker
from maglica.model.image import ImageVersion
from support.values import (
    byte_counts,
    maybe,
    moments,
    numbers,
    object_names,
    texts,
    tuples,
    uuids,
    vms,
)

address_sources = st.dictionaries(
    st.sampled_from([source.value for source in reported.AddressSource]), tuples(texts(60))
)
image_versions = st.builds(
    ImageVersion,
    checksum=maybe(texts(200)),
    origin=maybe(texts(1000)),
    format=maybe(texts(40)),
    size_bytes=maybe(byte_counts),
    request=texts(200),
    created=maybe(moments),
)
reported_domains = vms.flatmap(
    lambda vm: st.builds(
        reported.ReportedDomain,
        **{
            each.name: st.just(getattr(vm, each.name))
            for each in dataclasses.fields(reported.ReportedDomain)
            if each.name not in ("name", "interfaces", "versions", "next_vcpus", "next_memory_mib")
        },
        name=texts(400),
        interfaces=tuples(
            st.builds(
                reported.ReportedInterface,
                mac=texts(40),
                network=maybe(texts(200)),
                addresses=address_sources,
            )
        ),
        versions=tuples(image_versions),
        next_vcpus=maybe(st.integers(0, 1 << 20)),
        next_memory_mib=maybe(byte_counts),
    )
)
pool_states = st.builds(
    reported.PoolState,
    name=texts(200),
    active=st.booleans(),
    capacity_bytes=byte_counts,
    free_bytes=byte_counts,
)
_shown_of_host = {
    "uri": maybe(texts(1000)),
    "hostname": maybe(texts(200)),
    "libvirt_version": maybe(texts(40)),
    "hypervisor_version": maybe(texts(40)),
    "libvirt_error": maybe(texts(2000)),
    "networks": tuples(texts(200)),
    "problems": tuples(texts(600)),
}
reported_hosts = st.builds(
    reported.ReportedHost,
    name=object_names,
    alive=st.booleans(),
    weight=numbers,
    age_s=maybe(numbers),
    cpus=maybe(st.integers(0, 1 << 20)),
    memory_total_mib=maybe(byte_counts),
    memory_free_mib=maybe(byte_counts),
    pools=tuples(pool_states),
    worker_version=maybe(texts(40)),
    **_shown_of_host,
)
domains = st.builds(
    request.DomainSummary,
    name=texts(400),
    uuid=uuids,
    active=st.booleans(),
    may_be_image=st.booleans(),
    made=st.booleans(),
    vcpus=st.integers(0, 1 << 20),
    memory_mib=byte_counts,
    disk_bytes=byte_counts,
)
pools = st.builds(
    request.PoolSummary,
    name=texts(200),
    capacity_bytes=byte_counts,
    free_bytes=byte_counts,
    shared=maybe(texts(40)),
)
leftovers = st.builds(
    request.Leftover, path=texts(4096), pool=maybe(texts(200)), allocated_bytes=byte_counts
)
bases = st.builds(
    request.BaseSummary,
    id=texts(40),
    image=texts(200),
    version=texts(64),
    pool=texts(200),
    allocated_bytes=byte_counts,
    created=moments,
    current=maybe(st.booleans()),
    areas=st.booleans(),
    vms=st.integers(0, 1 << 20),
    way=st.sampled_from(request.Customize),
)
looks = st.builds(
    request.LookSummary,
    image=texts(400),
    version=texts(64),
    customizable=st.booleans(),
    reason=maybe(texts(2000)),
    current=maybe(st.booleans()),
    way=maybe(st.sampled_from(request.Customize)),
    distro=texts(40),
    release=texts(40),
    stack=texts(400),
    layout=texts(400),
)
images = st.builds(
    request.ImageSummary,
    name=texts(400),
    uuid=uuids,
    made=st.booleans(),
    checksum=maybe(texts(200)),
    origin=maybe(texts(1000)),
    versions=st.integers(0, 1 << 20),
)
reports = st.builds(
    request.HostReport,
    net_devices=maybe(tuples(texts(200))),
    cpus=st.integers(0, 1 << 20),
    memory_total_mib=byte_counts,
    memory_free_mib=byte_counts,
    domains=tuples(domains),
    pools=tuples(pools),
    pool_states=tuples(pool_states),
    **_shown_of_host,
    bases=tuples(bases),
    leftovers=tuples(leftovers),
    looks=tuples(looks),
    images=tuples(images),
    problem=maybe(texts(2000)),
    taken=moments,
)
host_statuses = st.builds(
    request.HostStatus,
    host=object_names,
    alive=st.booleans(),
    seen=maybe(moments),
    weight=numbers,
    report=reports,
    worker_version=maybe(texts(40)),
)
workers = st.builds(worker.Worker, version=texts(40), instance=uuids)
client_workers = st.builds(
    worker.ClientWorkerStatus, version=texts(40), problems=tuples(texts(600))
)
