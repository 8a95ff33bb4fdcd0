# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/protocol.md against the code: types, fields, limits, error codes, roles, the example."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from maglica.client_worker.access import ALLOWED
from maglica.model import errors, request, vm
from maglica.model.errors import MessageInvalid
from maglica.model.vm import vm_uuid
from maglica.verbs import clone, table
from maglica.wire import features, messages, records, sockets
from maglica.wire.frames import (
    MAX_DIGITS,
    MAX_FRAME,
    MAX_TOTAL,
    VERSION,
    decode,
    encode,
    topic,
)

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text()
TABLES = {"asked": messages.ASKED, "answered": messages.ANSWERED, "published": messages.PUBLISHED}
PARTS = {
    "From clients and observers": "asked",
    "From hosts": "asked",
    "Replies": "answered",
    "Published": "published",
}
TIME = "2026-11-24T06:00:00.000000Z"
UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
Field = tuple[str, str, str, str]
Check = Callable[[Any], Any]

ALSO = {"CloneSpec": {"hostname": "c"}}
_SUBMITTED = {"kind": "clone", "spec": {"name": "a", "image": "b"}}


def _submission(value: dict[str, Any]) -> Any:
    """Check a submission; what a whole one has besides is added."""
    other = {} if "again" in value else _SUBMITTED
    return messages.submission({**other, **value}, "p")


LEAST = {"name": "a", "image": "b", "uuid": UUID, "host": "c"}


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
    "Nic": (lambda value: clone.nic(value, "p"), {}),
    "Phase": (lambda value: records.phase(value, "p"), {"name": "a", "seconds": 1}),
    "Failure": (lambda value: records.failure(value, "p"), {"code": "a", "text": "b"}),
    "Vm": (
        lambda value: records.vm(value, "p"),
        {"name": "a", "uuid": UUID, "host": "b", "state": "c"},
    ),
    "Interface": (lambda value: records.interface(value, "p"), {"mac": "a"}),
    "HostStatus": (
        lambda value: records.host_status(value, "p"),
        {"host": "a", "alive": True, "seen": None, "weight": 1, "report": {}},
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


def _sections(level: str, text: str) -> dict[str, str]:
    """Return the text under each heading of one level."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


CHAPTERS = _sections("##", DOCUMENT)


def _rows(text: str, *titles: str) -> list[tuple[str, ...]]:
    """Return the rows of the table with these titles."""
    lines = text.splitlines()
    head = f"| {' | '.join(titles)} |"
    if head not in lines:
        return []
    rows = []
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


def _fields(text: str) -> list[Field]:
    rows = _rows(text, "field", "type", "required", "meaning")
    return [(name.strip("`"), kind, required, meaning) for name, kind, required, meaning in rows]


MESSAGES = {
    (PARTS[chapter], title.strip("`")): _fields(text)
    for chapter in PARTS
    for title, text in _sections("###", CHAPTERS[chapter]).items()
}
RECORD_FIELDS = {
    title.strip("*"): _fields(text) for title, text in _sections("###", CHAPTERS["Records"]).items()
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
    if record not in ("EntryError", "Held", "Submission", "Watched"):
        cls = SPECS.get(record) or getattr(request, record)
        assert set(written) == {field.name for field in dataclasses.fields(cls)}


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


SAMPLES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "bool": (True, (0, "true")),
    "uuid": (UUID, (UUID.upper(), UUID[1:], UUID + "\n")),
    "name": ("a.b:c", ("a/b", "-a", "", "a" * 201)),
    "vm name": ("My VM_1 (ü)", ("a/b", " a", "a ", "", "a\n", "a" * 201)),
    "host name": ("a.b", ("A", "a_b", "a.1", "a" * 65, "localhost")),
    "address": ("192.0.2.7", ("192.0.2.7/24", "fe80::1%eth0")),
    "address/prefix": ("192.0.2.7/24", ("192.0.2.7", "fe80::1%eth0/64")),
    "ssh key": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", ("ssh-ed25519",)),
    "tag": ("role:web", ("-a", "a b", "", "a" * 64)),
    "mac": ("52:54:00:12:34:56", ("53:54:00:12:34:56",)),
    "hash": ("$6$salt$0123456789", ("secret",)),
    "code": ("a_b", ("A", "")),
    "feature": ("a_2", ("A", "", "2a")),
    "kind": ("clone", ("format",)),
    "state": ("done", ("open",)),
    "`linked` or `full`": ("full", ("copy",)),
    "time": (TIME, ("2026-11-24T06:00:00Z", "2026-13-24T06:00:00.000000Z", "now")),
    "number": (0.5, (-1, 1e11, True)),
}


def _number(text: str) -> int:
    power = re.fullmatch(r"2([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if not power:
        return int(text)
    return 1 << int(power[1].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))


def test_every_error_code_is_there() -> None:
    rows = _rows(CHAPTERS["Errors"], "code", "meaning")
    assert [code.strip("`") for code, _other in rows] == [cls.code for cls in errors.CLASSES]


def test_every_feature_is_there() -> None:
    rows = _rows(CHAPTERS["Features"], "feature", "adds")
    assert [name.strip("`") for name, _other in rows] == list(features.OWN)


def test_every_code_that_is_named_exists() -> None:
    codes = {cls.code for cls in errors.CLASSES}
    named = set(
        re.findall(r"`([a-z]+_(?:unknown|taken|down|running|conflict|denied|invalid))`", DOCUMENT)
    )
    assert named <= codes


def test_the_roles_are_those_of_the_client_worker() -> None:
    rows = _rows(CHAPTERS["Security"], "role", "may send", "may subscribe to")
    written = {role.strip("`"): frozenset(re.findall("`(.+?)`", may)) for role, may, _other in rows}
    assert written == {role.value: types for role, types in ALLOWED.items()}


def test_kinds_and_states_are_those_of_the_model() -> None:
    kinds = [verb.name for verb in table.VERBS]
    for word, values in (("kind", kinds), ("state", [state.value for state in request.State])):
        sentence = re.search(rf"`{word}` is one of ([^.]+)\.", DOCUMENT)
        assert sentence
        assert sorted(re.findall("`(.+?)`", sentence[1])) == sorted(values)


def test_numbers_are_those_of_the_code() -> None:
    for number in (MAX_FRAME, MAX_FRAME + sockets.CURVE_OVERHEAD):
        assert f"{number:,} bytes" in DOCUMENT
    assert f"and {MAX_TOTAL - MAX_FRAME} more in all three" in DOCUMENT
    assert f"at most {MAX_DIGITS} digits" in DOCUMENT
    assert f"version {VERSION.decode()}" in DOCUMENT.splitlines()[5]
    options = dict(row[:2] for row in _rows(CHAPTERS["Sockets"], "libzmq option", "value", "why"))
    timeout = sockets.HEARTBEAT_TIMEOUT
    assert list(options.values())[:4] == [
        f"{sockets.HEARTBEAT_INTERVAL}, {timeout}, {timeout} ms",
        f"{timeout} ms",
        f"{sockets.HANDSHAKE_TIMEOUT} ms",
        f"{sockets.RECONNECT_FIRST}, {sockets.RECONNECT_MAX} ms",
    ]
    assert str(vm._VM_NAMESPACE) in DOCUMENT


EXAMPLES = re.findall(r"^```text (\w+)\n(.*?)\n```$", CHAPTERS["An example"], re.M | re.S)
CHECKS = {
    "asked": messages.asked,
    "answered": messages.answered,
    "published": messages.published,
}


@pytest.mark.parametrize(("side", "text"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_example_has_the_real_bytes(side: str, text: str) -> None:
    frames = [line.encode() for line in text.split("\n")]
    if side == "published":
        assert frames.pop(0).replace(b"\\0", b"\0") == topic("kvm0.example.jp")
    message = decode(frames)
    CHECKS[side](message.type, message.body)
    assert encode(message) == frames


def test_the_example_is_whole() -> None:
    kinds = [(side, text.split("\n")[side == "published" :][1]) for side, text in EXAMPLES]
    assert {kind for _other, kind in kinds} == {
        *("hello", "welcome", "submit", "requests", "ack", "progress", "result", "ok"),
        *("wait", "error"),
    }
    made = re.search(r'"vm":\{"name":"vm0.example.jp","uuid":"(.+?)"', DOCUMENT)
    assert made
    assert made[1] == vm_uuid(UUID)
