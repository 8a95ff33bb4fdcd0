# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/protocol.md against the code: types of messages, records, their fields and limits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from maglica.model import card, reported, request, vm, worker
from maglica.model import image as model_image
from maglica.model.errors import MessageInvalid
from maglica.verbs import clone, table
from maglica.verbs.hardware import disks, interfaces, set_cdrom
from maglica.wire import messages, records
from support.protocol_document import CHAPTERS, rows, sections
from support.protocol_samples import SAMPLES, TIME, UUID

TABLES = {"asked": messages.ASKED, "answered": messages.ANSWERED, "published": messages.PUBLISHED}
PARTS = {
    "From clients and observers": "asked",
    "From hosts": "asked",
    "Replies": "answered",
    "Published": "published",
}
Field = tuple[str, str, str, str]
Check = Callable[[Any], Any]

ALSO = {"CloneSpec": {"hostname": "c"}}
_SUBMITTED = {"kind": "clone", "spec": {"name": "a", "image": "b"}}


def _submission(value: dict[str, Any]) -> Any:
    """Check a submission; what a whole one has besides is added."""
    other = {} if "again" in value else _SUBMITTED
    return messages.submission({**other, **value}, "p")


def _add_image(value: dict[str, Any]) -> Any:
    """Check the spec of a new image; where it comes from is added."""
    if value.get("url") is not None:
        whole = {"checksum": f"sha256:{'a' * 64}", **value}
    else:
        path = value.get("path")
        whole = {**value, "path": "/a" if path is None else path}
    return table.named("add_image").record(whole, "p")


def _medium(value: dict[str, Any]) -> Any:
    """Check a medium; what a whole one has besides is added."""
    is_volume = any(value.get(name) is not None for name in ("pool", "volume"))
    other = {"pool": "a", "volume": "b"} if is_volume else {"path": "/a"}
    return set_cdrom.medium({**other, **{k: v for k, v in value.items() if v is not None}}, "p")


MAC = "52:54:00:00:00:01"
LEAST = {
    "name": "a",
    "image": "b",
    "uuid": UUID,
    "host": "c",
    "disk": "data",
    "size_mib": 1,
    "mac": MAC,
}


SPECS = {verb.spec.__name__: verb.spec for verb in table.VERBS}


def required(cls: type) -> list[str]:
    """Return the fields that an object must have."""
    fields = dataclasses.fields(cls)
    return [each.name for each in fields if each.default is dataclasses.MISSING]


# Each record's check, and an object with its required fields only.
RECORDS: dict[str, tuple[Check, dict[str, Any]]] = {
    "Request": (
        lambda value: records.request(value, "p"),
        {"id": UUID, "kind": "clone", "spec": {"name": "a", "image": "b"}},
    ),
    "Submission": (_submission, {"id": UUID}),
    "EntryError": (
        lambda value: messages.entry_error(value, "p"),
        {"id": UUID, "code": "a", "text": "b"},
    ),
    "Watched": (lambda value: messages.watched(value, "p"), {"id": UUID, "version": 0}),
    "Placement": (lambda value: records.placement(value, "p"), {"host": "a", "load": 0}),
    **{
        verb.spec.__name__: (
            lambda value, verb=verb: verb.record(value, "p"),
            {name: LEAST[name] for name in required(verb.spec)},
        )
        for verb in table.VERBS
    },
    "AddDiskSpec": (
        lambda value: table.named("add_disk").record(value, "p"),
        {"name": "a", "uuid": UUID, "host": "b", "disk": {"name": "data"}},
    ),
    "AddImageSpec": (_add_image, {"image": "a", "host": "b"}),
    "BaseSummary": (
        lambda value: records.base(value, "p"),
        {
            "id": "a",
            "image": "b",
            "version": "c",
            "pool": "d",
            "allocated_bytes": 1,
            "created": TIME,
            "current": None,
            "areas": True,
            "vms": 0,
        },
    ),
    "LookSummary": (
        lambda value: records.look(value, "p"),
        {"image": "a", "version": "b", "customizable": True, "reason": None, "current": None},
    ),
    "ImageSummary": (
        lambda value: records.image(value, "p"),
        {
            "name": "a",
            "uuid": UUID,
            "made": True,
            "checksum": None,
            "origin": None,
            "versions": 1,
        },
    ),
    "Card": (lambda value: interfaces.card(value, "p"), {}),
    "NewDisk": (lambda value: disks.new_disk(value, "p"), {"name": "data"}),
    "Medium": (_medium, {}),
    "Nic": (lambda value: clone.nic(value, "p"), {}),
    "User": (lambda value: clone.user(value, "p"), {}),
    "Phase": (lambda value: records.phase(value, "p"), {"name": "a", "seconds": 1}),
    "Failure": (lambda value: records.failure(value, "p"), {"code": "a", "text": "b"}),
    "Domain": (
        lambda value: records.vm(value, "p"),
        {"name": "a", "uuid": UUID, "host": "b", "state": "c", "active": True},
    ),
    "Disk": (lambda value: records.disk(value, "p"), {"target": "a"}),
    "Graphics": (lambda value: records.graphics(value, "p"), {"type": "vnc"}),
    "SerialConsole": (lambda value: records.console(value, "p"), {"type": "pty"}),
    "Interface": (lambda value: records.interface(value, "p"), {"mac": "a"}),
    "HostStatus": (
        lambda value: records.host_status(value, "p"),
        {"host": "a", "alive": True, "seen": None, "weight": 1, "report": {}},
    ),
    "ClientWorkerStatus": (lambda value: records.client_worker(value, "p"), {"version": "a"}),
    "Worker": (lambda value: records.worker(value, "p"), {"version": "a", "instance": UUID}),
    "ReportedDomain": (
        lambda value: records.reported_domain(value, "p"),
        {"name": "a", "uuid": UUID, "host": "b", "state": "c", "active": True},
    ),
    "ReportedInterface": (
        lambda value: records.reported_interface(value, "p"),
        {"mac": "a", "addresses": {}},
    ),
    "Addresses": (lambda value: records.addresses(value, "p"), {}),
    "ImageVersion": (lambda value: records.image_version(value, "p"), {}),
    "ReportedHost": (
        lambda value: records.reported_host(value, "p"),
        {"name": "a", "alive": True},
    ),
    "PoolState": (
        lambda value: records.pool_state(value, "p"),
        {"name": "a", "active": True, "capacity_bytes": 1, "free_bytes": 1},
    ),
    "HostReport": (lambda value: records.report(value, "p"), {}),
    "DomainSummary": (
        lambda value: records.domain(value, "p"),
        {
            "name": "a",
            "uuid": UUID,
            "active": True,
            "may_be_image": True,
            "made": True,
            "vcpus": 1,
            "memory_mib": 1,
        },
    ),
    "PoolSummary": (
        lambda value: records.pool(value, "p"),
        {"name": "a", "capacity_bytes": 1, "free_bytes": 1},
    ),
    "Leftover": (
        lambda value: records.leftover(value, "p"),
        {"path": "/a", "pool": None, "allocated_bytes": 1},
    ),
    "Held": (lambda value: messages.held(value, "p"), {"id": UUID, "state": "done"}),
}


def _fields(text: str) -> list[Field]:
    found = rows(text, "field", "type", "required", "meaning")
    return [(name.strip("`"), kind, required, meaning) for name, kind, required, meaning in found]


MESSAGES = {
    (PARTS[chapter], title.strip("`")): _fields(text)
    for chapter in PARTS
    for title, text in sections("###", CHAPTERS[chapter]).items()
}
RECORD_FIELDS = {
    title.strip("*"): _fields(text) for title, text in sections("###", CHAPTERS["Records"]).items()
}


def test_every_type_is_there() -> None:
    types = {(side, kind) for side, table in TABLES.items() for kind in table}
    assert set(MESSAGES) == types


@pytest.mark.parametrize(("side", "kind"), MESSAGES)
def test_every_field_of_a_message_is_there(side: str, kind: str) -> None:
    checks, required = TABLES[side][kind]
    written = MESSAGES[side, kind]
    assert {name for name, *_rest in written} == set(checks)
    assert {name for name, _other, needed, _other in written if needed == "yes"} == set(required)
    assert {needed for _other, _other, needed, _other in written} <= {"yes", "no"}


def test_every_record_is_there() -> None:
    assert set(RECORD_FIELDS) == set(RECORDS)
    used = {
        name
        for fields in [*MESSAGES.values(), *RECORD_FIELDS.values()]
        for _other, kind, *_rest in fields
        for name in re.findall(r"\*(\w+)\*", kind)
    }
    assert used | {"Request"} | set(SPECS) == set(RECORDS)


@pytest.mark.parametrize("record", RECORDS)
def test_every_field_of_a_record_is_there(record: str) -> None:
    check, least = RECORDS[record]
    written = {name: needed for name, _other, needed, _other in RECORD_FIELDS[record]}
    assert {name for name, needed in written.items() if needed == "yes"} == set(least)
    check(least)
    for name in least:
        with pytest.raises(MessageInvalid, match=f"field '{name}' is missing"):
            check({key: value for key, value in least.items() if key != name})
    if record not in ("Addresses", "EntryError", "Held", "Submission", "Watched"):
        places = (vm, request, reported, model_image, worker, disks, set_cdrom, card)
        found = (getattr(place, record, None) for place in places)
        cls = SPECS.get(record) or next(filter(None, found))
        fields = dataclasses.fields(cls)
        assert set(written) == {each.name for each in fields if each.metadata.get("told", True)}


def _limits() -> list[Any]:
    """Return a case for each field: where it stands, what checks it, and its type as written."""
    cases = []
    for (side, kind), written in MESSAGES.items():
        for name, form, *_rest in written:
            check = TABLES[side][kind][0][name]
            cases.append(
                pytest.param(
                    lambda value, check=check: check(value, "p"), form, id=f"{side}-{kind}-{name}"
                )
            )
    for record, written in RECORD_FIELDS.items():
        check, least = RECORDS[record]
        valid = {**ALSO.get(record, {}), **least}
        for name, form, *_rest in written:
            cases.append(
                pytest.param(
                    lambda value, check=check, valid=valid, name=name: check(
                        {**valid, name: value}
                    ),
                    form,
                    id=f"{record}-{name}",
                )
            )
    return cases


@pytest.mark.parametrize(("check", "form"), _limits())
def test_a_field_has_the_type_that_is_written(check: Check, form: str) -> None:
    _probe(check, form)


def _probe(check: Check, form: str) -> None:
    """Try values at the limits of the type that is written as ``form``."""

    def refused(value: Any) -> str:
        with pytest.raises(MessageInvalid) as error:
            check(value)
        return str(error.value)

    whole = form.removesuffix(" or null")
    if whole != form:
        check(None)
    elif "spec of" not in form:
        refused(None)
    if listed := re.fullmatch(r"list of (\d+) (.+)", whole):
        check([])
        assert f"at most {listed[1]}" in refused([None] * (int(listed[1]) + 1))
        _probe(lambda value: check([value]), listed[2])
    elif limits := re.fullmatch(r"int (\d+)\.\.(\S+)", whole):
        low, high = int(limits[1]), _number(limits[2])
        check(low)
        check(high)
        refused(low - 1)
        refused(high + 1)
        refused(float(low))
    elif long := re.fullmatch(r"text ?(\d*)", whole):
        limit = int(long[1] or 2000)
        check("x" * limit)
        refused("x" * (limit + 1))
        refused("\x1b")
    elif whole in SAMPLES:
        good, bad = SAMPLES[whole]
        check(good)
        for value in (*bad, 1.5 if whole != "number" else "1", [], {}):
            refused(value)
    else:
        assert re.match(r"\*\w+\*|spec of that kind", whole), form
        if "spec of" not in form:
            refused("x")


def _number(text: str) -> int:
    power = re.fullmatch(r"2([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if not power:
        return int(text)
    return 1 << int(power[1].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))
