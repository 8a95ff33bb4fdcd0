# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a message's frames and the key that sent them to its handler, and always to a reply."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..model.errors import (
    AccessDenied,
    EntryUnreadable,
    JournalFailed,
    MaglicaError,
    MessageInvalid,
)
from ..wire import features, messages
from ..wire.frames import OLD_VERSION, Message, OtherVersion, decode
from . import client_messages, host_messages, listing
from .access import ANYBODY, Caller
from .state import Call, Context, error_message
from .waits import Envelope

logger = logging.getLogger(__name__)

HANDLERS: dict[str, Callable[[Context, Call], Message | None]] = {
    "submit": client_messages.submit,
    "status": client_messages.status,
    "list": client_messages.list_requests,
    "wait": client_messages.wait,
    "cancel": client_messages.cancel,
    "hosts": client_messages.hosts,
    "domains": listing.domains,
    "hello": host_messages.hello,
    "ack": host_messages.ack,
    "progress": host_messages.progress,
    "result": host_messages.result,
}


@dataclass(frozen=True)
class Incoming:
    """A message as it came. ``key``: the public key of its connection, None without CURVE.

    ``address``: the other end of it, as far as it is known.
    """

    envelope: Envelope
    key: str | None
    frames: Sequence[bytes]
    address: str = ""


def identify(context: Context, key: str | None) -> Caller | None:
    """Return who has this key now, or None."""
    if context.table is None:
        return ANYBODY
    return context.table.peers.get(key) if key else None


def dispatch(context: Context, incoming: Incoming) -> Message | None:
    """Handle a message; return the reply, or None when the handler will reply later.

    What is wrong with the message, or with the one request that it is about, becomes the reply.
    Raises JournalFailed only.
    """
    try:
        return _handle(context, incoming)
    except EntryUnreadable as error:
        return error_message(error)
    except JournalFailed:
        raise
    except MaglicaError as error:
        return error_message(error)


def _handle(context: Context, incoming: Incoming) -> Message | None:
    caller = identify(context, incoming.key)
    if caller is None:
        raise _rejected(context, "unknown_key", AccessDenied("this key has no role"))
    try:
        message = decode(incoming.frames)
        if message.type not in HANDLERS:
            raise MessageInvalid(f"unknown type {message.type[:40]!r}")
    except OtherVersion as error:
        return _outdated(context, caller, error)
    except MessageInvalid as error:
        raise _rejected(context, "frames", error) from None
    if not caller.may(message.type):
        denied = AccessDenied(f"{caller} may not send {message.type}")
        raise _rejected(context, "role", denied)
    try:
        body = messages.asked(message.type, message.body)
    except MessageInvalid as error:
        raise _rejected(context, "body", error) from None
    if message.type in _FROM_HOSTS and not caller.is_host(body["host"]):
        denied = AccessDenied(f"{caller} may not speak for host {body['host']}")
        raise _rejected(context, "other_host", denied)
    named = body.pop("features", ())
    call = Call(
        caller.name, caller.key, body, incoming.envelope, frozenset(named), incoming.address
    )
    answer = HANDLERS[message.type](context, call)
    if answer is not None and answer.type in messages.NAMING_FEATURES:
        answer.body["features"] = features.OWN
    return answer


def _outdated(context: Context, caller: Caller, error: OtherVersion) -> Message:
    """Refuse a message of another version in a way that its sender can read; log it once a key."""
    context.rejects["version"] += 1
    if caller.key not in context.outdated:
        context.outdated.add(caller.key)
        logger.warning("%s is refused: %s", caller, error)
    refusal = error_message(error)
    return replace(refusal, version=OLD_VERSION) if error.version == OLD_VERSION else refusal


_FROM_HOSTS = frozenset({"hello", "ack", "progress", "result"})


def _rejected(context: Context, reason: str, error: MaglicaError) -> MaglicaError:
    context.rejects[reason] += 1
    return error
