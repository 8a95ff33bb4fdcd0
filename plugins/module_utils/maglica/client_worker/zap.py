# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom libzmq lets in: it asks by ZAP 1.0 (https://rfc.zeromq.org/spec/27/) for each connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .._deps import need
from ..model.request import Role
from ..wire.sockets import PUBLISH_DOMAIN, REQUEST_DOMAIN
from .access import Table

# Which roles may connect to each port; only hosts have something to hear on the publish port.
_ADMITTED: dict[bytes, frozenset[Role]] = {
    PUBLISH_DOMAIN.encode("ascii"): frozenset({Role.HOST}),
    REQUEST_DOMAIN.encode("ascii"): frozenset(Role),
}
_ZAP_FRAMES = 7
_KEY_BYTES = 32


@dataclass(frozen=True)
class Verdict:
    """An answer to ZAP: its frames, and why it is a refusal (None: let in).

    ``cause`` is of what kind, in no word of a stranger's.
    """

    frames: list[bytes]
    refusal: str | None = None
    cause: str = ""


def zap(frames: Sequence[bytes], table: Table, shut_out: Collection[str] = ()) -> Verdict:
    """Answer a request of ZAP, whatever its frames are. Keys that are ``shut_out`` may not use the
    publish port for now.

    The user id of who is let in is its public key in Z85, which libzmq then hands over with each of
    its messages.
    """
    request_id = frames[1] if len(frames) > 1 else b""
    if len(frames) != _ZAP_FRAMES or frames[0] != b"1.0":
        return _refuse(request_id, b"500", "no ZAP request", "no ZAP request for CURVE")
    domain, address, mechanism, public = frames[2], frames[3], frames[5], frames[6]
    peer_address = address.decode("ascii", "replace")
    if mechanism != b"CURVE" or len(public) != _KEY_BYTES:
        return _refuse(request_id, b"400", "no key", f"no CURVE key, from {peer_address}")
    key = _z85(public)
    caller = table.peers.get(key)
    if caller is None:
        text = f"unknown key {key} from {peer_address}"
        return _refuse(request_id, b"400", "unknown key", text)
    misused = key in shut_out and domain == PUBLISH_DOMAIN.encode("ascii")
    if misused or caller.role not in _ADMITTED.get(domain, ()):
        where = domain.decode("ascii", "replace")
        text = f"{caller} from {peer_address} may not use {where}"
        return _refuse(request_id, b"400", f"port for {caller}", text)
    return Verdict([b"1.0", request_id, b"200", b"OK", key.encode("ascii"), b""])


def _refuse(request_id: bytes, status: bytes, cause: str, text: str) -> Verdict:
    return Verdict([b"1.0", request_id, status, b"refused", b"", b""], text, cause)


def _z85(public: bytes) -> str:
    text: bytes = need("zmq").utils.z85.encode(public)
    return text.decode("ascii")
