# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of the journal that can't be read stops nothing but itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from maglica.model.request import Request
from maglica.wire import features

if TYPE_CHECKING:
    from .conftest import Cell

# Cut off; of another form; with a byte that no text has.
SPOILT = (b"{", b"[7]", b'{"\xff"}')


def spoil(cell: Cell, request: Request, how: bytes) -> None:
    statement = "UPDATE requests SET detail = CAST(? AS TEXT) WHERE id = ?"
    cell.journal._db.change(statement, how, request.id)


@pytest.mark.parametrize("how", SPOILT)
def test_an_ended_one_is_left_out_of_lists_and_logged_once(
    cell: Cell, how: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cell.hello()
    first, spoilt, last = (cell.clone(name) for name in ("vm0", "vm1", "vm2"))
    cell.result(spoilt, state="cancelled")
    spoil(cell, spoilt, how)
    cell.reopen()
    cell.hello()
    with caplog.at_level(logging.ERROR):
        for _turn in range(2):
            kind, body = cell.ask("list")
            assert (kind, [each.id for each in body["requests"]]) == (
                "requests",
                [last.id, first.id],
            )
    (said,) = [each for each in caplog.messages if spoilt.id in each]
    assert f"request {spoilt.id} is unreadable" in said
    kind, body = cell.ask("status", ids=[spoilt.id, last.id])
    assert [each.id for each in body["requests"]] == [last.id]
    assert [(each["id"], each["code"]) for each in body["errors"]] == [
        (spoilt.id, "journal_failed")
    ]
    # Its name is free again, as that of any request that was cancelled.
    assert cell.clone("vm1").name == "vm1"


def test_who_follows_the_changes_misses_none_after_it(cell: Cell) -> None:
    cell.hello()
    spoilt, *others = (cell.clone(f"vm{number}") for number in range(4))
    spoil(cell, spoilt, SPOILT[0])
    seen, after = [], 0
    for _turn in range(len(others)):
        _kind, body = cell.ask("list", after=after, limit=1)
        seen += [each.id for each in body["requests"]]
        after = body["revision"]
    assert seen == [each.id for each in others]


@pytest.mark.parametrize("how", SPOILT)
def test_an_open_one_is_named_and_alone_gets_no_answer(cell: Cell, how: bytes) -> None:
    cell.hello()
    spoilt, other = cell.clone("vm0"), cell.clone("vm1")
    spoil(cell, spoilt, how)
    cell.reopen()
    # Its host, which has it, is heard; and it is not told to drop it.
    welcome = cell.hello(**{spoilt.id: "running", other.id: "running"})
    assert (welcome["requests"], welcome["cancel"]) == ((), ())
    assert cell.context.strays == {}
    # Neither does the host lose its result.
    body = {"host": "kvm0", "id": spoilt.id, "state": "cancelled"}
    assert cell.ask("result", **body)[1]["code"] == "journal_failed"
    _kind, body = cell.ask("hosts", features=[features.WORKERS])
    (problem,) = body["client_worker"].problems
    assert f"request {spoilt.id} is unreadable" in problem
    for question in ("wait", "cancel"):
        asked = {"requests": [{"id": spoilt.id, "version": 1}], "wait_s": 0}
        told = cell.ask(question, **(asked if question == "wait" else {"ids": [spoilt.id]}))[1]
        assert [each["code"] for each in told["errors"]] == ["journal_failed"]
    # It may make that vm still.
    kind, body = cell.plan("vm0")
    assert (kind, body["code"]) == ("error", "journal_failed")
    assert spoilt.id in body["text"]
    assert cell.clone("vm2").name == "vm2"
