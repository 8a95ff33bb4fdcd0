# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks to build a schema from: each takes a JSON value and the path to it, and returns the value
to use or raises MessageInvalid with that path.

An unknown field is an error: what is not understood is not passed over.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from typing import Any, Callable

from .errors import MessageInvalid, NameInvalid

Check = Callable[[Any, str], Any]
MAX_TEXT = 2000
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def integer(low: int, high: int) -> Check:
    """A whole number from ``low`` to ``high``; true and false are none."""

    def check(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            is_short = isinstance(value, (int, float)) and abs(value) < 1e20
            shown = f": {value!r}" if is_short else ""
            raise MessageInvalid(f"{path}: not a whole number from {low} to {high}{shown}")
        return value

    return check


def number(value: Any, path: str) -> float:
    """A finite number from 0 to 1e11: seconds, a time or a weight."""

    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < 1e11:
        raise MessageInvalid(f"{path}: not a number from 0 to 1e11")
    return float(value)


def boolean(value: Any, path: str) -> bool:
    """True or false."""

    if not isinstance(value, bool):
        raise MessageInvalid(f"{path}: neither true nor false")
    return value


def text(limit: int = MAX_TEXT) -> Check:
    """A string of at most ``limit`` characters without control characters but newline."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise MessageInvalid(f"{path}: not a string of at most {limit} characters")
        # Control characters in a text that ends in a log or on a terminal could forge lines.
        if not all(char.isprintable() or char == "\n" for char in value):
            raise MessageInvalid(f"{path}: has a control character")
        return value

    return check


def matching(pattern: re.Pattern[str], what: str) -> Check:
    """A string that ``pattern`` matches in full; ``what`` names it in the error."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise MessageInvalid(f"{path}: no {what}")
        return value

    return check


def uuid() -> Check:
    """A UUID in lower case."""
    return matching(_UUID, "UUID")


def named(check_name: Callable[[str], str]) -> Check:
    """A string that a check of ``names`` accepts."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise MessageInvalid(f"{path}: no string")
        try:
            return check_name(value)
        except NameInvalid as error:
            raise MessageInvalid(f"{path}: {error}") from None

    return check


def choice(kind: type[enum.Enum]) -> Check:
    """The value of a member of ``kind``."""

    def check(value: Any, path: str) -> enum.Enum:
        for member in kind:
            if isinstance(value, str) and member.value == value:
                return member
        raise MessageInvalid(f"{path}: none of {', '.join(str(m.value) for m in kind)}")

    return check


def list_of(item: Check, limit: int) -> Check:
    """A list of at most ``limit`` entries, each checked by ``item``; gives a tuple."""

    def check(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > limit:
            raise MessageInvalid(f"{path}: not a list of at most {limit}")
        return tuple(item(entry, f"{path}[{index}]") for index, entry in enumerate(value))

    return check


def optional(inner: Check) -> Check:
    """Null, or what ``inner`` accepts."""

    def check(value: Any, path: str) -> Any:
        return None if value is None else inner(value, path)

    return check


def fields(
    value: Any, path: str, checks: Mapping[str, Check], required: frozenset[str]
) -> dict[str, Any]:
    """Check the object ``value`` against a table of checks; return the fields that are there."""
    if not isinstance(value, dict):
        raise MessageInvalid(f"{path}: no object")
    for key in value:
        if key not in checks:
            raise MessageInvalid(f"{path}: unknown field {key[:60]!r}")
    missing = sorted(required - value.keys())
    if missing:
        raise MessageInvalid(f"{path}: field {missing[0]!r} is missing")
    return {key: checks[key](entry, f"{path}.{key}") for key, entry in value.items()}


def record(cls: type, **checks: Check) -> Check:
    """Return a check that makes a ``cls``; its fields without a default are required."""
    required = frozenset(
        field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING
    )

    def check(value: Any, path: str) -> Any:
        return cls(**fields(value, path, checks, required))

    return check
