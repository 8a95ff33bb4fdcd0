# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of JSON values: each reads a value, and describes itself as JSON Schema (2020-12).

An unknown field is an error: what is not understood is not passed over. The schema accepts all that
the check accepts; where JSON Schema has no words for a rule, it accepts more.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from typing import Any, Callable

from . import moment as moments
from . import names
from .errors import MessageInvalid, NameInvalid
from .moment import Moment
from .text import MAX_TEXT, can_be_shown

# ``text`` also refuses what else can't be shown, for which patterns have no word.
_SHOWN = r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]*$(?!\n)"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclasses.dataclass(frozen=True)
class Check:
    """``read`` takes a value and the path to it, and returns the value to use or raises
    MessageInvalid with that path. ``schema`` describes what it accepts. Schemas with a ``title``
    are records; under one title there is only one.
    """

    read: Callable[[Any, str], Any]
    schema: dict[str, Any]

    def __call__(self, value: Any, path: str) -> Any:
        return self.read(value, path)


def integer(low: int, high: int) -> Check:
    """A whole number from ``low`` to ``high``; true and false are none."""

    def read(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            is_short = isinstance(value, (int, float)) and abs(value) < 1e20
            shown = f": {value!r}" if is_short else ""
            raise MessageInvalid(f"{path}: not a whole number from {low} to {high}{shown}")
        return value

    return Check(read, {"type": "integer", "minimum": low, "maximum": high})


def _number(value: Any, path: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value < 1e11:
        raise MessageInvalid(f"{path}: not a number from 0 to 1e11")
    return float(value)


# A finite number from 0 to 1e11: seconds, a time or a weight.
number = Check(_number, {"type": "number", "minimum": 0, "exclusiveMaximum": 100_000_000_000})


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise MessageInvalid(f"{path}: neither true nor false")
    return value


boolean = Check(_boolean, {"type": "boolean"})
# To be checked with the rest of its object.
anything = Check(lambda value, path: value, {})


def text(limit: int = MAX_TEXT) -> Check:
    """A string of at most ``limit`` characters without control characters but newline."""

    def read(value: Any, path: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise MessageInvalid(f"{path}: not a string of at most {limit} characters")
        # Control characters in a text that ends in a log or on a terminal could forge lines.
        if not can_be_shown(value.replace("\n", "")):
            raise MessageInvalid(f"{path}: has a control character")
        return value

    return Check(read, {"type": "string", "maxLength": limit, "pattern": _SHOWN})


def matching(pattern: re.Pattern[str], what: str) -> Check:
    """A string that ``pattern`` matches in full; ``what`` names it in the error."""

    def read(value: Any, path: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise MessageInvalid(f"{path}: no {what}")
        return value

    return Check(read, {"type": "string", "pattern": names.whole(pattern)})


def uuid() -> Check:
    """A UUID in lower case."""
    return matching(_UUID, "UUID")


def named(check_name: Callable[[str], str]) -> Check:
    """A string that a check of ``names`` accepts."""

    def read(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise MessageInvalid(f"{path}: not a string")
        try:
            return check_name(value)
        except NameInvalid as error:
            raise MessageInvalid(f"{path}: {error}") from None

    return Check(read, {"type": "string", **names.FORMS[check_name]})


def _moment(value: Any, path: str) -> Moment:
    try:
        if isinstance(value, str):
            return Moment.of(value)
    except ValueError:
        pass
    raise MessageInvalid(f"{path}: no time, such as 2026-11-24T06:00:00.000000Z")


# A point in time, in UTC.
moment = Check(
    _moment,
    {"type": "string", "pattern": names.whole(moments.PATTERN), "format": "date-time"},
)


def choice(kind: type[enum.Enum]) -> Check:
    """The value of a member of ``kind``."""
    members = {member.value: member for member in kind}

    def read(value: Any, path: str) -> enum.Enum:
        if not isinstance(value, str) or value not in members:
            raise MessageInvalid(f"{path}: not one of {', '.join(members)}")
        return members[value]

    return Check(read, {"enum": list(members)})


def list_of(item: Check, limit: int) -> Check:
    """A list of at most ``limit`` entries, each checked by ``item``; gives a tuple."""

    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > limit:
            raise MessageInvalid(f"{path}: not a list of at most {limit}")
        return tuple(item.read(entry, f"{path}[{index}]") for index, entry in enumerate(value))

    return Check(read, {"type": "array", "items": item.schema, "maxItems": limit})


def optional(inner: Check) -> Check:
    """Null, or what ``inner`` accepts."""

    def read(value: Any, path: str) -> Any:
        return None if value is None else inner.read(value, path)

    return Check(read, {"anyOf": [inner.schema, {"type": "null"}]})


def fields(
    value: Any, path: str, checks: Mapping[str, Check], required: frozenset[str]
) -> dict[str, Any]:
    """Check the object ``value`` against a table of checks; return the fields that are there."""
    if not isinstance(value, dict):
        raise MessageInvalid(f"{path}: not an object")
    for key in value:
        if key not in checks:
            raise MessageInvalid(f"{path}: unknown field {key[:60]!r}")
    missing = sorted(required - value.keys())
    if missing:
        raise MessageInvalid(f"{path}: field {missing[0]!r} is missing")
    return {key: checks[key].read(entry, f"{path}.{key}") for key, entry in value.items()}


def fields_schema(checks: Mapping[str, Check], required: frozenset[str]) -> dict[str, Any]:
    """Return the schema of what ``fields`` accepts."""
    return {
        "type": "object",
        "properties": {name: check.schema for name, check in checks.items()},
        "required": sorted(required),
        "additionalProperties": False,
    }


def an_object(title: str, checks: Mapping[str, Check], required: frozenset[str]) -> Check:
    """An object with these fields, given as a dict."""

    def read(value: Any, path: str) -> dict[str, Any]:
        return fields(value, path, checks, required)

    return Check(read, {"title": title, **fields_schema(checks, required)})


def record(cls: type, **checks: Check) -> Check:
    """Return a check that makes a ``cls``; its fields without a default are required."""
    required = frozenset(
        field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING
    )

    def read(value: Any, path: str) -> Any:
        return cls(**fields(value, path, checks, required))

    return Check(read, {"title": cls.__name__, **fields_schema(checks, required)})
