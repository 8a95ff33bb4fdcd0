# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of which some ids joined another request, some are unknown, and some stand twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from maglica.config.config import Config
from maglica.model.errors import RequestUnknown
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.start import StartSpec
from maglica.wire.client import Client

SPEC = StartSpec("vm0", new_request_id(), "kvm0")
FIRST, OTHER = (Request(new_request_id(), SPEC, State.DONE, version=5) for _turn in range(2))
JOINED, UNKNOWN = new_request_id(), new_request_id()
KNOWN = {FIRST.id: FIRST, JOINED: FIRST, OTHER.id: OTHER}


class Answered(Client):
    """A client whose client worker knows these requests."""

    def __init__(self) -> None:
        super().__init__(Config(Path("/nonexistent/maglica.conf")), 1.0)

    def call(self, kind: str, body: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        return self.exchange(kind, body, 1.0, 1.0)

    def exchange(
        self, kind: str, body: dict[str, Any], patience: float, total: float
    ) -> dict[str, Any]:
        ids = body["ids"] if kind == "status" else [each["id"] for each in body["requests"]]
        found = [KNOWN[each] for each in dict.fromkeys(ids) if each in KNOWN]
        unknown = [
            {"id": each, "code": RequestUnknown.code, "text": each}
            for each in ids
            if each not in KNOWN
        ]
        return {"requests": tuple(found), "errors": tuple(unknown)}


def test_one_that_is_unknown_hides_no_other_of_those_that_are_waited_for() -> None:
    told: list[Request] = []
    with pytest.raises(RequestUnknown, match=UNKNOWN):
        Answered().wait_all([JOINED, UNKNOWN, OTHER.id], 5, told.append)
    assert told == [FIRST, OTHER]


def test_what_is_asked_for_twice_is_answered_twice() -> None:
    ids = [FIRST.id, FIRST.id, OTHER.id, JOINED, FIRST.id]
    assert Answered().status_all(ids) == (FIRST, FIRST, OTHER, FIRST, FIRST)
