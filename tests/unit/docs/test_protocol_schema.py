# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/protocol.schema.json is what the checks say, and accepts all that they accept."""

from __future__ import annotations

import copy
import itertools
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from faults import corpus, fields, rubbish
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from maglica.model import names
from maglica.model.checks import Check, named, text, uuid
from maglica.model.errors import MessageInvalid
from maglica.model.plain import plain
from maglica.model.user_data import user_data
from maglica.wire import messages, records
from maglica.wire.frames import decode
from support import message_values, values

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SCHEMA = json.loads((TOOLS.parents[1] / "docs" / "protocol.schema.json").read_text())
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "asked": messages.asked,
    "answered": messages.answered,
    "published": messages.published,
}
STRATEGIES = {
    (side, kind): strategy
    for side, table in (
        ("asked", message_values.ASKED),
        ("answered", message_values.ANSWERED),
        ("published", message_values.PUBLISHED),
    )
    for kind, strategy in table.items()
}
some = settings(max_examples=10)


@cache
def validator(side: str, kind: str) -> Draft202012Validator:
    return of_schema({**SCHEMA, "$ref": f"#/$defs/{side}.{kind}"})


def of_schema(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def accepted(check: Callable[[], Any]) -> bool:
    try:
        check()
    except MessageInvalid:
        return False
    return True


def test_the_file_is_what_the_checks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    sys.modules.pop("protocol_schema", None)
    import protocol_schema

    assert protocol_schema.FILE.read_text() == protocol_schema.text(), "run make protocol-schema"
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("side", "kind"), STRATEGIES)
@given(data=st.data())
@some
def test_what_the_checks_accept_the_schema_accepts(
    side: str, kind: str, data: st.DataObject
) -> None:
    body = json.loads(json.dumps(plain(data.draw(STRATEGIES[side, kind]))))
    validator(side, kind).validate(body)
    # With something changed it may still be right.
    if body:
        changed = copy.deepcopy(body)
        changed[data.draw(st.sampled_from(sorted(body)))] = data.draw(values.json_values)
        if accepted(lambda: CHECKS[side](kind, changed)):
            validator(side, kind).validate(changed)


@given(rubbish.messages())
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_rubbish_that_the_checks_accept_the_schema_accepts(rubbish: Any) -> None:
    _kind, frames = rubbish
    try:
        message = decode(frames[frames.index(b"") + 1 :])
        messages.asked(message.type, message.body)
    except (MessageInvalid, ValueError):
        return
    validator("asked", message.type).validate(message.body)


def test_no_field_is_unknown_and_none_is_missing() -> None:
    for side, kind, body in fields.messages():
        validator(side, kind).validate(body)
        assert not validator(side, kind).is_valid({**body, "more_of_it": 1})
        table = {"asked": messages.ASKED, "answered": messages.ANSWERED}.get(side)
        for name in (table or messages.PUBLISHED)[kind][1]:
            left = {key: value for key, value in body.items() if key != name}
            assert not validator(side, kind).is_valid(left)


# For these JSON Schema has no words: it lets in more.
_LOOSE = (names.interface_address, names.domain_name, user_data)
LOOSE = [text(), *map(named, _LOOSE)]
STRICT = [
    *(named(check) for check in names.FORMS if check not in _LOOSE),
    *(uuid(), records.code, records.kind, records.state),
]


@pytest.mark.parametrize("check", [*STRICT, *LOOSE])
def test_each_string_of_the_corpus(check: Check) -> None:
    schema = of_schema(check.schema)
    # Lone surrogates can't be in a message.
    for each in corpus.CORPUS:
        right = accepted(lambda each=each: check(each, "x"))
        if right or check in STRICT:
            assert schema.is_valid(each) is right, each


def test_a_spec_is_that_of_its_kind() -> None:
    for kind, other in itertools.product(dict(fields.specs()), repeat=2):
        submission = {"id": fields.UUID, "kind": kind, "spec": dict(fields.specs())[other]}
        body = {"requests": [submission]}
        right = accepted(lambda body=body: messages.asked("submit", body))
        assert validator("asked", "submit").is_valid(body) is right, (kind, other)
