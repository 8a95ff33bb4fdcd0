# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from maglica.model import checks, names
from maglica.model.errors import MessageInvalid
from maglica.model.request import State


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


POINT = checks.record(Point, x=checks.integer(0, 9), y=checks.integer(0, 9))
ACCEPTED: list[tuple[checks.Check, Any, Any]] = [
    (checks.integer(1, 3), 1, 1),
    (checks.integer(1, 3), 3, 3),
    (checks.number, 0, 0.0),
    (checks.number, 1.5, 1.5),
    (checks.boolean, False, False),
    (checks.text(3), "", ""),
    (checks.text(3), "aä\n", "aä\n"),
    # What Unicode has not assigned: a newer Python may know it.
    (checks.text(3), "a\u0378", "a\u0378"),
    (checks.named(names.domain_name), "\u0378", "\u0378"),
    (checks.matching(re.compile("a+"), "row of a"), "aa", "aa"),
    (checks.named(names.object_name), "a.b", "a.b"),
    (checks.named(names.address), "2001:DB8::1", "2001:db8::1"),
    (checks.choice(State), "done", State.DONE),
    (checks.list_of(checks.boolean, 2), [], ()),
    (checks.list_of(checks.boolean, 2), [True, False], (True, False)),
    (checks.optional(checks.boolean), None, None),
    (checks.optional(checks.boolean), True, True),
    (POINT, {"x": 1}, Point(1)),
    (POINT, {"y": 2, "x": 1}, Point(1, 2)),
]
REFUSED: list[tuple[checks.Check, Any, str]] = [
    *[
        (checks.integer(1, 3), value, "p: not a whole number from 1 to 3")
        for value in (0, 4, True, 1.0, "1", None, [1])
    ],
    *[
        (checks.number, value, "p: not a number from 0 to 1e11")
        for value in (-1, -0.1, 1e11, 10**30, True, "1", None, float("inf"), float("nan"))
    ],
    *[(checks.boolean, value, "p: neither true nor false") for value in (0, 1, None, "true", [])],
    *[
        (checks.text(3), value, "p: not a string of at most 3 characters")
        for value in ("abcd", 1, None, ["a"])
    ],
    *[
        (checks.text(3), value, "p: has a control character")
        for value in (
            "\0",
            "\r",
            "\t",
            "\x1b[",
            "\x7f",
            "\x9b",
            "\u2028",
            "\u202e",
            "\ud800",
            "\ufeff",
        )
    ],
    *[
        (checks.matching(re.compile("a+"), "row of a"), value, "p: no row of a")
        for value in ("", "ab", "a\n", "ba", 1, None)
    ],
    (checks.named(names.object_name), "../a", "p: '../a' is not a valid name"),
    (checks.named(names.object_name), None, "p: not a string"),
    (checks.named(names.object_name), ["a"], "p: not a string"),
    *[
        (
            checks.choice(State),
            value,
            "p: not one of queued, sent, running, done, failed, cancelled",
        )
        for value in ("", "DONE", "done\n", 1, None, ["done"], {"a": 1})
    ],
    (checks.list_of(checks.boolean, 2), [True] * 3, "p: not a list of at most 2"),
    (checks.list_of(checks.boolean, 2), {"a": True}, "p: not a list of at most 2"),
    (checks.list_of(checks.boolean, 2), None, "p: not a list of at most 2"),
    (checks.list_of(checks.boolean, 2), [True, 1], r"p\[1\]: neither true nor false"),
    (checks.optional(checks.boolean), 1, "p: neither true nor false"),
    (POINT, None, "p: not an object"),
    (POINT, [["x", 1]], "p: not an object"),
    (POINT, {}, "p: field 'x' is missing"),
    (POINT, {"x": None}, "p.x: not a whole number"),
    (POINT, {"x": 1, "z": 1}, "p: unknown field 'z'"),
    (POINT, {"x": 1, "__class__": 1}, "p: unknown field '__class__'"),
    (POINT, {"x": 1, "\x1b" * 500: 1}, "p: unknown field "),
]


@pytest.mark.parametrize(("check", "value", "result"), ACCEPTED, ids=range(len(ACCEPTED)))
def test_accepted(check: checks.Check, value: Any, result: Any) -> None:
    got = check(value, "p")
    assert (got, type(got)) == (result, type(result))


@pytest.mark.parametrize(("check", "value", "problem"), REFUSED, ids=range(len(REFUSED)))
def test_refused(check: checks.Check, value: Any, problem: str) -> None:
    with pytest.raises(MessageInvalid, match=f"^{problem}") as error:
        check(value, "p")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400
