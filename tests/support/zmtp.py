# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What peers say that libzmq would not: raw bytes of ZMTP, ZeroMQ's RFCs 13, 15, 23, 24 and 26."""

from __future__ import annotations

from collections.abc import Sequence

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
SOCKET_TYPES_2 = {"SUB": b"\x02", "REQ": b"\x03"}


def greeting(mechanism: str, minor: int = 0) -> bytes:
    """ZMTP 3's greeting of 64 bytes."""
    version = b"\x03" + bytes([minor])
    return SIGNATURE + version + mechanism.encode().ljust(20, b"\0") + bytes(32)


def command(name: bytes, content: bytes) -> bytes:
    """A command of ZMTP 3."""
    body = bytes([len(name)]) + name + content
    return b"\x04" + bytes([len(body)]) + body


def metadata(socket_type: str) -> bytes:
    """The properties that READY and INITIATE carry."""
    value = socket_type.encode()
    return b"\x0bSocket-Type" + len(value).to_bytes(4, "big") + value + b"\x08Identity" + bytes(4)


def frames(parts: Sequence[bytes]) -> bytes:
    """A message of ZMTP 2 and 3."""
    text = b""
    for number, part in enumerate(parts):
        more = number + 1 < len(parts)
        if len(part) < 256:
            text += bytes([more, len(part)]) + part
        else:
            text += bytes([2 | more]) + len(part).to_bytes(8, "big") + part
    return text


def frames_1(parts: Sequence[bytes]) -> bytes:
    """A message of ZMTP 1; its parts are short."""
    return b"".join(
        bytes([len(part) + 1, number + 1 < len(parts)]) + part for number, part in enumerate(parts)
    )


def downgrades(socket_type: str, parts: Sequence[bytes]) -> dict[str, bytes]:
    """Ways to say ``parts`` to a port that wants CURVE without it."""
    ready = command(b"READY", metadata(socket_type))
    message = frames(parts)
    hello = command(b"HELLO", b"\x05admin\x06secret")
    initiate = command(b"INITIATE", metadata(socket_type))
    version_2 = SIGNATURE + b"\x01" + SOCKET_TYPES_2[socket_type] + bytes(2)
    return {
        "ZMTP 3.0, NULL": greeting("NULL") + ready + message,
        "ZMTP 3.1, NULL": greeting("NULL", 1) + ready + message,
        "ZMTP 3.0, no mechanism": greeting("") + ready + message,
        "ZMTP 3.0, PLAIN": greeting("PLAIN") + hello + initiate + message,
        "ZMTP 3.0, GSSAPI": greeting("GSSAPI") + initiate + message,
        "CURVE's greeting, then NULL": greeting("CURVE") + ready + message,
        "CURVE's greeting, then PLAIN": greeting("CURVE") + hello + initiate + message,
        "CURVE's greeting, then frames": greeting("CURVE") + message,
        "CURVE's greeting, then MESSAGE": greeting("CURVE")
        + command(b"MESSAGE", bytes(8) + parts[-1][:100]),
        "ZMTP 2.0": version_2 + message,
        "ZMTP 1.0": b"\x01\x00" + frames_1(parts),
    }
