# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis strategies for every message of the protocol, all of them valid."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from maglica.model import request
from support.report_values import (
    client_workers,
    host_statuses,
    reported_domains,
    reported_hosts,
    reports,
    workers,
)
from support.values import (
    byte_counts,
    domain_names,
    failures,
    maybe,
    members,
    moments,
    numbers,
    object_names,
    phases,
    requests,
    specs,
    texts,
    tuples,
    uuids,
    vms,
)

held = st.fixed_dictionaries({"id": uuids, "state": members(request.State)})
about_itself = {"host": object_names, "id": uuids}

submitted = st.tuples(uuids, specs).map(
    lambda pair: {"id": pair[0], "kind": pair[1].verb, "spec": pair[1]}
)
related = st.fixed_dictionaries({}, optional={"parent": uuids, "peer": object_names})
submissions = st.tuples(submitted, related).map(lambda pair: {**pair[0], **pair[1]}) | (
    st.fixed_dictionaries({"id": uuids, "again": uuids})
)
watched = {"id": uuids, "version": st.integers(0, 1 << 53)}
entry_errors = st.fixed_dictionaries(
    {"id": uuids, "code": st.from_regex("[a-z_]{1,40}", fullmatch=True), "text": texts(2000)}
)
features = {"features": tuples(st.from_regex("[a-z][a-z0-9_]{0,20}", fullmatch=True))}
revisions = st.integers(0, 1 << 53)
placements = st.builds(request.Placement, host=object_names, load=numbers)

ASKED: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "submit": st.fixed_dictionaries(
        {"requests": tuples(submissions)}, optional={"dry_run": st.booleans(), **features}
    ),
    "status": st.fixed_dictionaries({"ids": tuples(uuids)}, optional=features),
    "list": st.fixed_dictionaries(
        {},
        optional={
            "states": tuples(members(request.State)),
            "limit": st.integers(1, 1000),
            "name": domain_names,
            "before": uuids,
            "after": revisions,
            "wait_s": st.integers(0, 60),
            **features,
        },
    ),
    "wait": st.fixed_dictionaries(
        {"requests": tuples(st.fixed_dictionaries(watched)), "wait_s": st.integers(0, 60)},
        optional=features,
    ),
    "cancel": st.fixed_dictionaries({"ids": tuples(uuids)}, optional=features),
    "hosts": st.fixed_dictionaries({}, optional={"after": object_names, **features}),
    "domains": st.fixed_dictionaries(
        {},
        optional={
            "hosts": tuples(object_names),
            "names": tuples(texts(400)),
            "after": texts(400),
            **features,
        },
    ),
    "hello": st.fixed_dictionaries(
        {"host": object_names, "report": reports.map(vars), "requests": tuples(held)},
        optional={
            "shown": tuples(reported_domains),
            "gone": tuples(uuids),
            "since": texts(64),
            "digest": texts(64),
            "more": st.booleans(),
            "worker": workers,
            **features,
        },
    ),
    "ack": st.fixed_dictionaries(about_itself),
    "progress": st.fixed_dictionaries(
        {**about_itself, "phase": texts(40), "phases": tuples(phases)},
        optional={"done": maybe(byte_counts), "total": maybe(byte_counts)},
    ),
    "result": st.fixed_dictionaries(
        {**about_itself, "state": members(request.State)},
        optional={
            "phases": tuples(phases),
            "failure": maybe(failures),
            "vm": maybe(vms),
            "ended": moments,
        },
    ),
}
ANSWERED: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "requests": st.fixed_dictionaries(
        {"requests": tuples(requests)},
        optional={
            "errors": tuples(entry_errors),
            "more": st.booleans(),
            "revision": revisions,
            **features,
        },
    ),
    "placements": st.fixed_dictionaries({"placements": tuples(placements)}, optional=features),
    "hosts": st.fixed_dictionaries(
        {"hosts": tuples(host_statuses)},
        optional={"more": st.booleans(), "client_worker": client_workers, **features},
    ),
    "domains": st.fixed_dictionaries(
        {"hosts": tuples(reported_hosts), "domains": tuples(reported_domains)},
        optional={"next": maybe(texts(400)), **features},
    ),
    "welcome": st.fixed_dictionaries(
        {"requests": tuples(requests), "cancel": tuples(uuids)},
        optional={"everything": st.booleans(), **features},
    ),
    "ok": st.just({}),
    "error": st.fixed_dictionaries(
        {"code": st.from_regex("[a-z_]{1,40}", fullmatch=True), "text": texts(2000)}
    ),
}
PUBLISHED = {
    "requests": st.fixed_dictionaries({"requests": tuples(requests)}),
    "cancel": st.fixed_dictionaries({"ids": tuples(uuids)}),
}
