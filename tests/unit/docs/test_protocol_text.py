# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/protocol.md against the code: error codes, features, roles, words, numbers, the example."""

from __future__ import annotations

import re

import pytest
from maglica.client_worker.access import ALLOWED
from maglica.model import errors, request, vm
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.wire import features, messages, sockets
from maglica.wire.frames import (
    MAX_DIGITS,
    MAX_FRAME,
    MAX_TOTAL,
    VERSION,
    decode,
    encode,
    topic,
)
from support.protocol_document import CHAPTERS, DOCUMENT, rows

UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"


def test_every_error_code_is_there() -> None:
    found = rows(CHAPTERS["Errors"], "code", "meaning")
    assert [code.strip("`") for code, _other in found] == [cls.code for cls in errors.CLASSES]


def test_every_feature_is_there() -> None:
    found = rows(CHAPTERS["Features"], "feature", "adds")
    assert [name.strip("`") for name, _other in found] == list(features.OWN)


def test_every_code_that_is_named_exists() -> None:
    codes = {cls.code for cls in errors.CLASSES}
    named = set(
        re.findall(r"`([a-z]+_(?:unknown|taken|down|running|conflict|denied|invalid))`", DOCUMENT)
    )
    assert named <= codes


def test_the_roles_are_those_of_the_client_worker() -> None:
    found = rows(CHAPTERS["Security"], "role", "may send", "may subscribe to")
    written = {
        role.strip("`"): frozenset(re.findall("`(.+?)`", may)) for role, may, _other in found
    }
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
    options = dict(row[:2] for row in rows(CHAPTERS["Sockets"], "libzmq option", "value", "why"))
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
