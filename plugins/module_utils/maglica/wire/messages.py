# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of every message: checked field by field and turned into values, and back.

docs/protocol.md says the same in words.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..model import names
from ..model import request as model
from ..model.checks import (
    Check,
    boolean,
    choice,
    fields,
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
from ..model.errors import MessageInvalid
from . import reported
from .frames import MAX_FRAME

_CODE = re.compile(r"[a-z_]{1,40}")
MAX_NICS = 16
MAX_KEYS = 64
MAX_TAGS = 64
# Of everything that is listed by request, what one message holds at most.
MAX_LISTED = 1000
# What is left for the list that fills a body, beside its other fields.
PAGE_ROOM = MAX_FRAME - 1024

_uuid = uuid()
_name = named(names.object_name)
# A vm that others made may have a name that is no host name.
_vm = named(names.vm_name)
_vcpus = integer(1, 1024)
_memory = integer(16, 64 << 20)
_bytes = integer(0, 1 << 60)
_patience = integer(0, 60)
_tags = list_of(named(names.tag), MAX_TAGS)

_nic = record(
    model.Nic,
    network=optional(_name),
    bridge=optional(_name),
    mac=optional(named(names.mac)),
    addresses=list_of(named(names.interface_address), 16),
    gateways=list_of(named(names.address), 2),
    nameservers=list_of(named(names.address), 8),
    search=list_of(_vm, 8),
)
_clone_spec = record(
    model.CloneSpec,
    name=_vm,
    image=_name,
    host=optional(_name),
    clone_mode=choice(model.CloneMode),
    pool=optional(_name),
    vcpus=optional(_vcpus),
    memory_mib=optional(_memory),
    networks=optional(list_of(_nic, MAX_NICS)),
    ssh_authorized_keys=list_of(named(names.ssh_key), MAX_KEYS),
    root_password=optional(named(names.password_hash)),
    tags=_tags,
    start=boolean,
)
_vm_spec = record(
    model.VmSpec,
    name=_name,
    uuid=_uuid,
    host=_name,
    force=boolean,
    timeout=integer(0, 86400),
    vcpus=optional(_vcpus),
    memory_mib=optional(_memory),
    tags=_tags,
)
_image_spec = record(model.ImageSpec, image=_name, host=_name)
_failure = record(model.Failure, code=matching(_CODE, "error code"), text=text())
_phase = record(model.Phase, name=text(40), seconds=number)
_interface = record(
    model.Interface,
    mac=text(40),
    network=optional(text(200)),
    addresses=list_of(text(60), 64),
)
_vm_result = record(
    model.Vm,
    name=_name,
    uuid=_uuid,
    host=_name,
    state=text(40),
    image=optional(_name),
    vcpus=optional(integer(0, 1 << 20)),
    memory_mib=optional(_bytes),
    interfaces=list_of(_interface, 64),
    disks=list_of(text(1000), 64),
    ssh_host_keys=list_of(text(8200), 8),
    tags=list_of(text(80), MAX_TAGS),
    restart_needed=boolean,
)
_SPECS = {
    model.Kind.CLONE: _clone_spec,
    model.Kind.PREPARE: _image_spec,
    model.Kind.RELEASE: _image_spec,
}


def spec(value: Any, path: str, kind: model.Kind) -> model.Spec:
    """Check the spec of a request of ``kind``."""
    check = _SPECS.get(kind, _vm_spec)
    checked: model.Spec = check(value, path)
    return checked


_REQUEST: dict[str, Check] = {
    "id": _uuid,
    "kind": choice(model.Kind),
    "spec": lambda value, path: value,
    "state": choice(model.State),
    "host": optional(_name),
    "who": text(200),
    "version": integer(1, 1 << 53),
    "created": number,
    "updated": number,
    "phase": optional(text(40)),
    "phases": list_of(_phase, 64),
    "cancelling": boolean,
    "failure": optional(_failure),
    "vm": optional(_vm_result),
}


def request(value: Any, path: str = "request") -> model.Request:
    """Check a whole request, as it stands in replies and in what is published to a host."""
    known = fields(value, path, _REQUEST, frozenset({"id", "kind", "spec"}))
    known["spec"] = spec(known["spec"], f"{path}.spec", known["kind"])
    return model.Request(**known)


_held = {"id": _uuid, "state": choice(model.State)}


def _held_request(value: Any, path: str) -> dict[str, Any]:
    return fields(value, path, _held, frozenset(_held))


def _submitted(value: Any, path: str) -> dict[str, Any]:
    known = fields(value, path, _SUBMIT, frozenset(_SUBMIT))
    known["spec"] = spec(known["spec"], f"{path}.spec", known["kind"])
    return known


def _watched(value: Any, path: str) -> dict[str, Any]:
    return fields(value, path, _WATCHED, frozenset(_WATCHED))


_SUBMIT: dict[str, Check] = {
    "id": _uuid,
    "kind": choice(model.Kind),
    "spec": lambda value, path: value,
}
_WATCHED: dict[str, Check] = {"id": _uuid, "version": integer(0, 1 << 53)}

# Type → (checks of its body, required fields). Requests on port 5556, by the role that sends them:
# client and observer.
ASKED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "submit": (_SUBMIT, set(_SUBMIT)),
    "submit_all": ({"requests": list_of(_submitted, MAX_LISTED)}, {"requests"}),
    "plan": ({"spec": _clone_spec}, {"spec"}),
    "plan_all": ({"specs": list_of(_clone_spec, MAX_LISTED)}, {"specs"}),
    "status": ({"id": _uuid}, {"id"}),
    "list": (
        {
            "states": list_of(choice(model.State), 6),
            "limit": integer(1, MAX_LISTED),
            "name": _name,
            "before": _uuid,
        },
        set(),
    ),
    "wait": ({**_WATCHED, "timeout": _patience}, {"id", "version", "timeout"}),
    "wait_all": (
        {"requests": list_of(_watched, MAX_LISTED), "timeout": _patience},
        {"requests", "timeout"},
    ),
    "cancel": ({"id": _uuid}, {"id"}),
    "hosts": ({"after": _name}, set()),
    # host
    "hello": (
        {"host": _name, "report": reported.report, "requests": list_of(_held_request, MAX_LISTED)},
        {"host", "report", "requests"},
    ),
    "ack": ({"host": _name, "id": _uuid}, {"host", "id"}),
    "progress": (
        {"host": _name, "id": _uuid, "phase": text(40), "phases": list_of(_phase, 64)},
        {"host", "id", "phase", "phases"},
    ),
    "result": (
        {
            "host": _name,
            "id": _uuid,
            "state": choice(model.State),
            "phases": list_of(_phase, 64),
            "failure": optional(_failure),
            "vm": optional(_vm_result),
        },
        {"host", "id", "state"},
    ),
}
_placement = record(model.Placement, host=_name, load=number)
_host_status = record(
    model.HostStatus,
    host=_name,
    alive=boolean,
    seen=number,
    weight=number,
    report=reported.report,
)

# Replies, and what is published on port 5555 ("request", "cancel").
ANSWERED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "request": ({"request": request}, {"request"}),
    "requests": ({"requests": list_of(request, MAX_LISTED), "more": boolean}, {"requests"}),
    "placement": ({"host": _name, "load": number}, {"host", "load"}),
    "placements": ({"placements": list_of(_placement, MAX_LISTED)}, {"placements"}),
    "hosts": ({"hosts": list_of(_host_status, 10000), "more": boolean}, {"hosts"}),
    "welcome": (
        {"requests": list_of(request, MAX_LISTED), "cancel": list_of(_uuid, MAX_LISTED)},
        {"requests", "cancel"},
    ),
    "ok": ({}, set()),
    "error": ({"code": matching(_CODE, "error code"), "text": text()}, {"code", "text"}),
}
PUBLISHED = {"request": ANSWERED["request"], "cancel": ASKED["cancel"]}


def asked(kind: str, body: Any) -> dict[str, Any]:
    """Check the body of a message that a peer sends to port 5556; return its values."""
    return _body(ASKED, kind, body)


def answered(kind: str, body: Any) -> dict[str, Any]:
    """Check the body of a reply of port 5556; return its values."""
    return _body(ANSWERED, kind, body)


def published(kind: str, body: Any) -> dict[str, Any]:
    """Check the body of a message of port 5555; return its values."""
    return _body(PUBLISHED, kind, body)


def _body(
    table: Mapping[str, tuple[dict[str, Check], set[str]]], kind: str, body: Any
) -> dict[str, Any]:
    if kind not in table:
        raise MessageInvalid(f"unknown type {kind[:40]!r}")
    checks, required = table[kind]
    known = fields(body, kind, checks, frozenset(required))
    if kind == "submit":
        known["spec"] = spec(known["spec"], "submit.spec", known["kind"])
    return known


def page(entries: Iterable[Any], room: int = PAGE_ROOM) -> tuple[list[Any], bool]:
    """Return as many of ``entries``, plain, as fit in ``room`` bytes, and whether some do not."""
    fitting: list[Any] = []
    for entry in entries:
        value = plain(entry)
        room -= len(json.dumps(value, separators=(",", ":"))) + 1
        if room < 0:
            return fitting, True
        fitting.append(value)
    return fitting, False


_ATOMS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Turn values (dataclasses, enums, tuples) into what JSON can hold."""
    cls = type(value)
    if cls in _ATOMS:
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if dataclasses.is_dataclass(cls):
        # The fields as dataclasses.fields would give them, without its cost at each value.
        return {name: plain(getattr(value, name)) for name in cls.__dataclass_fields__}
    return value
