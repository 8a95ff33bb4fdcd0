# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maglica.model import request as model
from maglica.model.errors import MessageInvalid
from maglica.model.plain import plain
from maglica.verbs.clone import CloneSpec
from maglica.wire import messages, records
from maglica.wire.frames import MAX_FRAME, Message, decode, encode
from support import message_values, values

SIDES: dict[str, tuple[Callable[[str, Any], dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "asked": (messages.asked, messages.ASKED, message_values.ASKED),
    "answered": (messages.answered, messages.ANSWERED, message_values.ANSWERED),
    "published": (messages.published, messages.PUBLISHED, message_values.PUBLISHED),
}
MESSAGES = [(side, kind) for side, (_other, table, _other) in SIDES.items() for kind in table]
UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
SPEC = {"name": "vm0.example.jp", "image": "debian12.original"}
VM_SPEC = {"name": "vm0.example.jp", "uuid": UUID, "host": "kvm0.example.jp"}
REPORT: dict[str, Any] = {}


def one(submission: dict[str, Any]) -> dict[str, Any]:
    return {"requests": [submission]}


some = settings(max_examples=15)


def travel(kind: str, body: dict[str, Any]) -> Any:
    """Return a body as it comes out at the other end."""
    message = decode(encode(Message(kind, plain(body))))
    assert message.type == kind
    return message.body


@pytest.mark.parametrize(("side", "kind"), MESSAGES)
@given(data=st.data())
@some
def test_every_message_comes_back(side: str, kind: str, data: st.DataObject) -> None:
    check, _other, strategies = SIDES[side]
    body = data.draw(strategies[kind])
    assert check(kind, travel(kind, body)) == body


@pytest.mark.parametrize(("side", "kind"), MESSAGES)
@given(data=st.data())
@some
def test_a_message_with_something_changed_is_read_or_refused(
    side: str, kind: str, data: st.DataObject
) -> None:
    check, _other, strategies = SIDES[side]
    body = travel(kind, data.draw(strategies[kind]))
    places = list(_places(body))
    if not places:
        return
    place, key = data.draw(st.sampled_from(places))
    place[key] = data.draw(values.json_values)
    try:
        check(kind, body)
    except MessageInvalid as error:
        assert str(error).isprintable()
        assert str(error).startswith(kind) or "request" in str(error)


@given(st.sampled_from(list(SIDES)), st.text(max_size=20), values.json_values)
def test_any_json_is_read_or_refused(side: str, kind: str, body: Any) -> None:
    for name in (kind, *SIDES[side][1]):
        try:
            SIDES[side][0](name, body)
        except MessageInvalid:
            continue
        assert name in ("ok", "hosts", "domains", "list")


@pytest.mark.parametrize(("side", "kind"), MESSAGES)
@given(data=st.data())
@settings(max_examples=2)
def test_an_unknown_field_is_refused_and_a_missing_one_too(
    side: str, kind: str, data: st.DataObject
) -> None:
    check, table, strategies = SIDES[side]
    body = travel(kind, data.draw(strategies[kind]))
    with pytest.raises(MessageInvalid, match="unknown field 'more_of_it'"):
        check(kind, {**body, "more_of_it": 1})
    for field in table[kind][1]:
        left = {key: value for key, value in body.items() if key != field}
        with pytest.raises(MessageInvalid, match=f"field '{field}' is missing"):
            check(kind, left)


def test_a_type_of_one_side_is_unknown_on_the_other() -> None:
    for check, kind in ((messages.asked, "requests"), (messages.answered, "submit")):
        with pytest.raises(MessageInvalid, match=f"unknown type '{kind}'"):
            check(kind, {})
    with pytest.raises(MessageInvalid, match="unknown type '__init__'"):
        messages.published("__init__", {})


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        (
            "submit",
            one({"id": "x", "kind": "clone", "spec": SPEC}),
            r"submit.requests\[0\].id: no UUID",
        ),
        (
            "submit",
            one({"id": UUID.upper(), "kind": "clone", "spec": SPEC}),
            r"submit.requests\[0\].id: no UUID",
        ),
        (
            "submit",
            one({"id": UUID + "\n", "kind": "clone", "spec": SPEC}),
            r"submit.requests\[0\].id: no UUID",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "format", "spec": SPEC}),
            r"submit.requests\[0\].kind: not one of",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "start", "spec": SPEC}),
            r"submit.requests\[0\].spec: unknown field",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": VM_SPEC}),
            r"submit.requests\[0\].spec: unknown field",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": []}),
            r"submit.requests\[0\].spec: not an object",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "name": "a/../b"}}),
            r"submit.requests\[0\].spec.name: 'a/../b' is not a valid name for a vm",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "image": "<x/>"}}),
            r"submit.requests\[0\].spec.image: '<x/>' is not a valid name",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "interfaces": [{"mac": "aa"}]}}),
            r"submit.requests\[0\].spec.interfaces\[0\].mac: 'aa' is not a unicast MAC",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "interfaces": [{}] * 17}}),
            r"submit.requests\[0\].spec.interfaces: not a list of at most 16",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "ssh_authorized_keys": ["a\nb"]}}),
            r"submit.requests\[0\].spec.ssh_authorized_keys\[0\]: .* is not a public SSH key",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "vcpus": 0}}),
            r"submit.requests\[0\].spec.vcpus: not a whole number from 1 to 1024",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "stop", "spec": {**VM_SPEC, "stop_timeout": 86401}}),
            r"submit.requests\[0\].spec.stop_timeout: not a whole number",
        ),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": {**SPEC, "name": "My VM_1"}}),
            r"submit.requests\[0\].spec.hostname: needed, since 'My VM_1' is not a valid host name",
        ),
        ("submit", one({"id": UUID}), r"submit.requests\[0\]: neither kind and spec alone nor"),
        (
            "submit",
            one({"id": UUID, "kind": "clone", "spec": SPEC, "again": UUID}),
            r"submit.requests\[0\]: neither kind and spec alone nor again alone",
        ),
        (
            "submit",
            one({"id": UUID, "again": UUID, "peer": "kvm1"}),
            r"submit.requests\[0\]: with again there is nothing but an id",
        ),
        ("status", {"ids": [UUID] * 1001}, "status.ids: not a list of at most 1000"),
        ("hosts", {"features": ["Not one"]}, r"hosts.features\[0\]: no feature"),
        ("wait", {"requests": [], "wait_s": 61}, "wait.wait_s: not a whole number"),
        ("list", {"states": ["open"]}, r"list.states\[0\]: not one of"),
        ("list", {"limit": 1001}, "list.limit: not a whole number from 1 to 1000"),
        ("hello", {"host": "a b", "report": REPORT, "requests": []}, "hello.host: 'a b' is no"),
        (
            "hello",
            {"host": "a", "report": {"domains": [{}]}, "requests": []},
            r"hello.report.domains\[0\]: field 'active' is missing",
        ),
        (
            "hello",
            {"host": "a", "report": REPORT, "requests": [{"id": UUID}]},
            r"hello.requests\[0\]: field 'state' is missing",
        ),
        (
            "result",
            {"host": "a", "id": UUID, "state": "failed", "failure": {"code": "A", "text": ""}},
            "result.failure.code: no error code",
        ),
        (
            "result",
            {"host": "a", "id": UUID, "state": "failed", "failure": {"code": "a", "text": "\x1b"}},
            "result.failure.text: has a control character",
        ),
    ],
)
def test_refused_with_the_path_to_what_is_wrong(
    kind: str, body: dict[str, Any], problem: str
) -> None:
    with pytest.raises(MessageInvalid, match=f"^{problem}"):
        messages.asked(kind, body)


def test_a_password_hash_is_in_no_error() -> None:
    body = {"id": UUID, "kind": "clone", "spec": {**SPEC, "root_password": "my secret"}}
    with pytest.raises(MessageInvalid) as error:
        messages.asked("submit", one(body))
    assert "my secret" not in str(error.value)


def test_a_request_in_a_reply_is_checked_to_its_bottom() -> None:
    request = {"id": UUID, "kind": "clone", "spec": {**SPEC, "nonsense": 1}}
    with pytest.raises(MessageInvalid, match=r"requests\[0\].spec: unknown field 'nonsense'"):
        messages.answered("requests", {"requests": [request]})


def test_fields_that_may_be_left_out_have_the_model_s_defaults() -> None:
    body = messages.asked("submit", one({"id": UUID, "kind": "clone", "spec": SPEC}))
    assert body["requests"][0]["spec"] == CloneSpec(**SPEC)


def test_a_page_has_what_fits() -> None:
    entries = ["x" * 1000] * 2000
    page, more = messages.page(entries)
    assert more
    assert len(encode(Message("requests", {"requests": page}))[2]) <= MAX_FRAME
    assert len(json.dumps([*page, "x" * 3000])) > MAX_FRAME - 2000
    assert messages.page(entries[:10]) == (entries[:10], False)
    assert messages.page([]) == ([], False)


def test_a_full_hello_of_a_big_host_fits_a_message() -> None:
    domain = model.DomainSummary(
        "vm-with-a-long-name.department.example.jp", UUID, True, True, True, 4, 4096, 10 << 30
    )
    body = {
        "host": "kvm0.example.jp",
        "report": model.HostReport(domains=(domain,) * records.MAX_DOMAINS),
        "requests": [{"id": UUID, "state": "running"}] * 1000,
    }
    told = messages.asked("hello", travel("hello", body))["report"]
    assert model.HostReport(**told) == body["report"]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a JSON value with each of its keys."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        yield value, key
        if isinstance(entry, (dict, list)):
            yield from _places(entry)


def test_the_places_of_a_value_are_all_found() -> None:
    value = {"a": [1, {"b": 2}]}
    copies = copy.deepcopy(value)
    assert [key for _other, key in _places(copies)] == ["a", 0, 1, "b"]
