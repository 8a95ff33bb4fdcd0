# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames to messages and back; docs/protocol.md is the contract.

A message is three frames: the protocol's version, the type, and one JSON object. On the PUB socket
the topic comes first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..model.errors import MessageInvalid

VERSION = b"MGL2"
# The one before it, whose peers are told so in a way that they can read.
OLD_VERSION = b"MGL1"
MAX_FRAME = 1 << 20
MAX_TOTAL = MAX_FRAME + 64
MAX_DIGITS = 20


@dataclass(frozen=True)
class Message:
    """A type, one of those that ``schema`` knows, and its body."""

    type: str
    body: dict[str, Any]
    version: bytes = VERSION


class OtherVersion(MessageInvalid):
    """The message is of another version of the protocol."""

    def __init__(self, version: bytes) -> None:
        self.version = version
        number = (
            "version 1 of the protocol (MGL1)" if version == OLD_VERSION else repr(version[:16])
        )
        super().__init__(
            f"{number} was sent, and this side speaks version 2 (MGL2) only: update the side that"
            " is older, all parts of a cloud must be of one release of maglica.cloud"
        )


def topic(host: str) -> bytes:
    """Return the topic of a host: its name and NUL.

    Subscriptions match by prefix; the NUL keeps ``kvm1`` from matching the messages of ``kvm10``.
    """
    return host.encode("ascii") + b"\0"


def encode(message: Message) -> list[bytes]:
    """Return the frames of ``message``; its body holds what JSON can hold (see model.plain).

    Raises MessageInvalid for one that is too long: the peer would drop the connection over it.
    """
    text = json.dumps(message.body, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    if len(text) > MAX_FRAME:
        raise MessageInvalid(f"a {message.type} message of {len(text)} bytes, {MAX_FRAME} allowed")
    return [message.version, message.type.encode("ascii"), text.encode("ascii")]


def decode(frames: Sequence[bytes]) -> Message:
    """Return the message in ``frames``, its body not yet checked.

    Raises MessageInvalid for every other input, whatever it is.
    """
    if len(frames) != 3:
        raise MessageInvalid(f"{len(frames)} frames instead of 3")
    sizes = [len(frame) for frame in frames]
    if max(sizes) > MAX_FRAME or sum(sizes) > MAX_TOTAL:
        raise MessageInvalid(f"more than {MAX_FRAME} bytes")
    version, kind, text = frames
    if version != VERSION:
        raise OtherVersion(version)
    try:
        name = kind.decode("ascii")
    except UnicodeDecodeError:
        raise MessageInvalid("the type is not ASCII") from None
    return Message(name, _object(text))


def _object(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        # The parser bounds its own depth: deep nesting ends as RecursionError.
        raise MessageInvalid(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise MessageInvalid("the body is not a JSON object")
    return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MessageInvalid("a key stands twice in one JSON object")
    return result


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise MessageInvalid(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise MessageInvalid(f"{name} is not a JSON value")
