# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rubbish for both ports of a client worker, as strategies of Hypothesis.

Most of it is nearly right, so that it gets further: valid messages with some values replaced. They
are about requests that are there, of a host that has an image, and about some that are not.
"""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st
from maglica.model.plain import plain
from maglica.model.vm import vm_uuid
from maglica.wire.frames import MAX_FRAME, VERSION
from support import zmtp
from support.reports import IMAGE, image, report

UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
HOST = "kvm0.example.jp"
FEW, MANY = 20, 1000
NAME = "vm0.example.jp"
SECRET = "$6$salt$0123456789"
# What is valid and becomes twice as long when it is escaped.
WIDE = "\u8a9e"
_REPORT = plain(
    report(
        image(memory_mib=16, disk_bytes=0),
        image(name=WIDE * 400, uuid=UUID),
        memory_total_mib=1 << 30,
        memory_free_mib=1 << 30,
    )
)
_VM = {
    "name": NAME,
    "uuid": vm_uuid(UUID),
    "host": HOST,
    "state": WIDE * 40,
    "active": True,
    "interfaces": [{"mac": "", "network": None, "addresses": [WIDE * 60] * 64}] * 32,
    "disks": [{"target": "vda", "source": WIDE * 1000}] * 64,
}
_SHOWN = {**_VM, "disks": [], "interfaces": [{"mac": "", "addresses": {"agent": [WIDE * 60] * 64}}]}
_SPEC = {"name": NAME, "image": IMAGE, "memory_mib": 16}
VALID: dict[str, dict[str, Any]] = {
    "submit": {
        "requests": [
            {
                "id": UUID,
                "kind": "clone",
                "spec": {
                    **_SPEC,
                    "interfaces": [{"network": "default", "addresses": ["192.0.2.7/24"]}],
                    "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"],
                    "root_password": SECRET,
                },
            }
        ],
        "features": ["progress_counts"],
    },
    "status": {"ids": [UUID]},
    "list": {"states": ["queued"], "limit": 10, "before": UUID},
    "wait": {"requests": [{"id": UUID, "version": 0}], "wait_s": 0},
    "cancel": {"ids": [UUID]},
    "hosts": {"after": "a"},
    "domains": {"hosts": [HOST], "names": ["a"], "after": f"host {HOST}"},
    "hello": {
        "host": HOST,
        "report": _REPORT,
        "shown": [_SHOWN],
        "gone": [UUID],
        "digest": "a",
        "requests": [{"id": UUID, "state": "running"}],
    },
    "ack": {"host": HOST, "id": UUID},
    "progress": {"host": HOST, "id": UUID, "phase": "copy", "phases": [], "done": 1, "total": 2},
    "result": {
        "host": HOST,
        "id": UUID,
        "state": "failed",
        "failure": {"code": "a", "text": WIDE * 2000},
    },
}
# How a message of these types may look as well.
OTHERWISE: dict[str, dict[str, Any]] = {
    "submit": {"requests": [{"id": UUID, "kind": "clone", "spec": _SPEC}], "dry_run": True},
    "list": {"after": 0, "wait_s": 0, "states": ["failed"]},
    "result": {"host": HOST, "id": UUID, "state": "done", "vm": _VM},
}
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 1 << 53, 10**20, -(10**20), 10**400, 1.5, 1e308, -0.0),
    *("", "\0", "\n", "a" * 70000, "../../etc/passwd", "/dev/null", "<a/>", "]]>", "{{ 1 }}"),
    *("\ud800", "\u202e", "\x1b[2J", "%s%n", "'; DROP TABLE requests; --", "$(id)", "-v", HOST),
    *(WIDE * 2000, WIDE * 400, WIDE * 60, "\U0001f4a9" * 40, "nowhere.original"),
    *([], [[]], {}, {"": {}}, [None] * 5000, {"__class__": "x"}, {"id": UUID}, UUID),
]
JSON_RUBBISH = [
    *(b"", b"{", b"}", b"null", b"[]", b'"', b"{}{}", b"\xff\xfe{", b"\xef\xbb\xbf{}"),
    *(b"[" * 200000, b'{"a":' * 50000, b'{"a":NaN}', b'{"a":1e999}', b'{"a":1,"a":2}'),
    *(b'{"a":' + b"9" * 100000 + b"}", b'{"id":"\\ud800"}', b"{" + b" " * 100000 + b"}"),
]
WRONG_VERSIONS = [b"", b"MGL0", b"MGL1", b"\xff" * 9]
WRONG_TYPES = [b"", b"__init__", b"ok", b"\xff", b"x" * 5000, b"error"]


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)


# Few of which much is said, and many, so that there are always some that have not ended.
_numbers = st.integers(0, FEW - 1) | st.integers(0, MANY - 1)


def about(body: Any, number: int) -> Any:
    """Return a body of VALID as one about the request, and the vm, of this number."""
    request_id = f"{number:08x}{UUID[8:]}"
    name = NAME.replace("0", str(number))
    changed = {UUID: request_id, vm_uuid(UUID): vm_uuid(request_id), NAME: name}
    if isinstance(body, dict):
        return {key: about(value, number) for key, value in body.items()}
    if isinstance(body, list):
        return [about(value, number) for value in body]
    return changed.get(body, body) if isinstance(body, str) else body


@st.composite
def _bodies(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    valid = [VALID[kind]] + ([OTHERWISE[kind]] if kind in OTHERWISE else [])
    body = copy.deepcopy(about(draw(st.sampled_from(valid)), draw(_numbers)))
    for _turn in range(draw(st.sampled_from([0, 1, 1, 2, 5]))):
        places = list(_places(body))
        if not places:
            break
        place, key = places[draw(st.integers(0, len(places) - 1))]
        act = draw(st.integers(0, 9))
        # A wait that is right must not wait.
        if place is body and key == "wait_s":
            continue
        if act < 2 and isinstance(place, dict):
            del place[key]
        elif act < 3 and isinstance(place, dict):
            place[f"{key}x"] = place[key]
        elif act < 9:
            place[key] = copy.deepcopy(draw(st.sampled_from(NASTY)))
        else:
            place[key] = draw(_anything)
    return body


@st.composite
def _torn(draw: st.DrawFn, kind: str) -> bytes:
    text = bytearray(written(VALID[kind]))
    for _turn in range(draw(st.integers(1, 5))):
        text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        yield value, key
        if isinstance(entry, (dict, list)):
            yield from _places(entry)


def written(body: Any) -> bytes:
    """Return JSON with letters as they are; escaped, some would be too long to be read at all."""
    escaped = json.dumps(body).encode()
    if len(escaped) <= MAX_FRAME // 2:
        return escaped
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _can_be_read(body: bytes) -> bool:
    return len(body) <= MAX_FRAME


def _heading(kind: str) -> list[bytes]:
    return [b"", VERSION, kind.encode()]


def _with(kind: str, bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return bodies.map(lambda body: [*_heading(kind), body])


_dumped = _anything.map(lambda value: json.dumps(value).encode())
_frames = st.lists(st.binary(max_size=30), max_size=8)
_types = st.sampled_from(WRONG_TYPES) | st.binary(max_size=20)
# How a message may be wrong, each as often as its number says.
_SHAPES: list[tuple[int, Callable[[str], st.SearchStrategy[list[bytes]]]]] = [
    # A longer one is not read at all: its connection ends without an answer.
    (10, lambda kind: _with(kind, _bodies(kind).map(written).filter(_can_be_read))),
    (3, lambda kind: _with(kind, st.sampled_from(JSON_RUBBISH))),
    (2, lambda kind: _with(kind, _torn(kind))),
    (1, lambda kind: _with(kind, _dumped)),
    (
        1,
        lambda kind: st.sampled_from(WRONG_VERSIONS).map(
            lambda version: [b"", version, kind.encode(), b"{}"]
        ),
    ),
    (1, lambda kind: _types.map(lambda name: [b"", VERSION, name, b"{}"])),
    (1, lambda kind: _frames.map(lambda frames: [b"", *frames * 100])),
    # A REQ's empty frame is missing.
    (1, lambda kind: _frames.map(lambda frames: [b"x", *frames])),
]
_by_kind = {
    kind: st.sampled_from([made for weight, shape in _SHAPES for made in [shape(kind)] * weight])
    for kind in VALID
}
_kinds = st.sampled_from(sorted(VALID))


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A type and the frames of a message of about that type, with what a REQ puts before them."""
    kind = draw(_kinds)
    return kind, draw(draw(_by_kind[kind]))


def _long_frames(exponent: int) -> bytes:
    """Frames that claim to be very long."""
    return zmtp.greeting("CURVE") + b"\x06" + struct.pack(">Q", 1 << exponent)


_GREETING = zmtp.greeting("CURVE")
_SAID = [b"", VERSION, b"hosts", b"{}"]
_downgrades = st.sampled_from(
    [text for kind in ("REQ", "SUB") for text in zmtp.downgrades(kind, _SAID).values()]
)


def _spoiled(text: bytes, at: int, with_byte: int) -> bytes:
    at %= len(text)
    return text[:at] + bytes([with_byte]) + text[at + 1 :]


# What somebody without a key says on a TCP connection.
streams = st.one_of(
    st.binary(max_size=200),
    st.integers(0, len(_GREETING) - 1).map(lambda length: _GREETING[:length]),
    _downgrades,
    st.builds(_spoiled, _downgrades, st.integers(0, 500), st.integers(0, 255)),
    st.builds(
        lambda exponent, more: _long_frames(exponent) + more, st.integers(20, 62), st.binary()
    ),
    st.binary(min_size=193, max_size=193).map(
        lambda rest: _GREETING + b"\x04\xc8\x05HELLO\x01\x00" + rest
    ),
    st.builds(
        lambda size, more: _GREETING + b"\x04" + bytes([size]) + more,
        st.integers(0, 255),
        st.binary(max_size=255),
    ),
)
# What the owner of a host's key subscribes to, or takes back.
subscriptions = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda topic: b"\1" + topic),
    st.binary(max_size=40).map(lambda topic: b"\0" + topic),
    st.sampled_from([b"\1" + HOST.encode() + b"\0", b"\0" + HOST.encode() + b"\0", b"\1" * 100000]),
)
