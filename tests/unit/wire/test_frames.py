# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from maglica.model.errors import MessageInvalid
from maglica.wire.frames import MAX_FRAME, VERSION, Message, decode, encode, topic
from support.values import json_values


def body(text: str) -> list[bytes]:
    return [VERSION, b"status", text.encode("utf-8")]


def test_the_frames_of_a_message() -> None:
    message = Message("status", {"id": "ä", "n": [1, None, True]})
    frames = [b"MGL2", b"status", rb'{"id":"\u00e4","n":[1,null,true]}']
    assert encode(message) == frames
    assert decode(frames) == message


def test_a_topic_ends_in_nul() -> None:
    assert topic("kvm1") == b"kvm1\0"
    assert not topic("kvm10").startswith(topic("kvm1"))


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([], "0 frames"),
        ([VERSION], "1 frames"),
        ([VERSION, b"ok"], "2 frames"),
        ([VERSION, b"ok", b"{}", b""], "4 frames"),
        ([b""] * 10000, "10000 frames"),
        (
            [b"MGL1", b"ok", b"{}"],
            r"^version 1 of the protocol \(MGL1\) was sent, and this side speaks version 2 ",
        ),
        ([b"MGL3", b"ok", b"{}"], "^b'MGL3' was sent, and this side speaks version 2"),
        ([b"", b"ok", b"{}"], "^b'' was sent"),
        ([b"\n" * 1000, b"ok", b"{}"], r"^b'\\n\\n"),
        ([VERSION, b"\xff", b"{}"], "the type is not ASCII"),
        ([VERSION, b"ok", b"{" + b" " * MAX_FRAME + b"}"], "more than"),
        ([VERSION, b"o" * MAX_FRAME, b"{}" * MAX_FRAME], "more than"),
        (body(""), "not JSON"),
        (body("{"), "not JSON"),
        (body("{} {}"), "not JSON"),
        (body("{'a': 1}"), "not JSON"),
        (body("[]"), "not a JSON object"),
        (body("null"), "not a JSON object"),
        (body('"{}"'), "not a JSON object"),
        (body("\ufeff{}"), "not JSON"),
        ([VERSION, b"ok", b'{"a":"\xff"}'], "not JSON"),
        ([VERSION, b"ok", "{}".encode("utf-16")], "not JSON"),
        (body('{"a":1,"a":1}'), "a key stands twice"),
        (body('{"a":{"b":1,"b":2}}'), "a key stands twice"),
        (body('{"a":NaN}'), "NaN is not a JSON value"),
        (body('{"a":Infinity}'), "Infinity is not a JSON value"),
        (body('{"a":-Infinity}'), "-Infinity is not a JSON value"),
        (body('{"a":' + "9" * 21 + "}"), "more than 20 digits"),
        (body('{"a":' + "9" * 5000 + "}"), "more than 20 digits"),
        (body('{"a":-' + "9" * 5000 + "}"), "more than 20 digits"),
        (body('{"a":' + "[" * 100000), "not JSON"),
        (body('{"a":' + "[" * 100000 + "]" * 100000 + "}"), "not JSON"),
        (body('{"a":' * 100000 + "1" + "}" * 100000), "not JSON"),
        (body('{"a":"\n"}'), "not JSON"),
        (body('{"a":"\0"}'), "not JSON"),
    ],
    ids=range(35),
)
def test_refused(frames: list[bytes], problem: str) -> None:
    with pytest.raises(MessageInvalid, match=problem) as error:
        decode(frames)
    assert len(str(error.value)) < 400
    assert str(error.value).isprintable()


def test_a_number_beyond_a_float_is_left_to_the_schema() -> None:
    assert decode(body('{"a":1e999}')).body == {"a": float("inf")}


def test_what_is_too_long_is_not_sent() -> None:
    with pytest.raises(MessageInvalid, match=f"{MAX_FRAME} allowed"):
        encode(Message("hello", {"a": "x" * MAX_FRAME}))


def test_what_is_just_short_enough_is_sent_and_read() -> None:
    message = Message("hello", {"a": "x" * (MAX_FRAME - len('{"a":""}'))})
    assert decode(encode(message)) == message


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5))
def test_every_object_comes_back(value: dict[str, object]) -> None:
    message = Message("hello", value)
    assert decode(encode(message)) == message


@given(st.lists(st.binary(max_size=200), max_size=6))
@example([VERSION, b"ok", b"{" * 50])
def test_rubbish_is_refused_or_read_and_nothing_else(frames: list[bytes]) -> None:
    try:
        assert encode(decode(frames))[1] == frames[1]
    except MessageInvalid as error:
        assert str(error).isprintable()


@given(
    st.binary(max_size=400) | st.text(alphabet='{}[]",:0123456789eE+-.\\untrfals ').map(str.encode)
)
def test_rubbish_as_a_body_is_refused_or_read_and_nothing_else(text: bytes) -> None:
    try:
        decode([VERSION, b"status", text])
    except MessageInvalid as error:
        assert len(str(error)) < 400
