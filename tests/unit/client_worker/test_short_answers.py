# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No answer to a question is long, nor takes more reading than it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Cell

KEYS = tuple(f"ssh-ed25519 {'A' * 4000} {number}" for number in range(16))


def test_the_late_answer_to_a_wait_is_as_short_as_any_and_in_the_order_of_the_list(
    cell: Cell,
) -> None:
    cell.hello()
    made = [cell.clone(f"vm{number}", memory_mib=16).id for number in range(150)]
    asked = made[::-1]
    waiter = (b"waiter", b"")
    watched = [{"id": each, "version": 2} for each in asked]
    assert cell.send("wait", waiter, requests=watched, wait_s=60).replies == []
    held = [{"id": each, "state": "running"} for each in made]
    report = cell.context.hosts.shown("kvm0")
    replies = cell.send("hello", host="kvm0", report=report, requests=held).replies
    (answer,) = [message for envelope, message in replies if envelope == waiter]
    assert [each["id"] for each in answer.body["requests"]] == asked[:100]
    assert answer.body["more"]


@pytest.mark.parametrize("after", [None, 0])
def test_of_long_requests_no_more_are_read_than_are_shown(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, after: int | None
) -> None:
    cell.hello()
    for number in range(8):
        cell.clone(f"vm{number}", memory_mib=16, ssh_authorized_keys=KEYS)
    read = []
    of_row = cell.journal._request
    monkeypatch.setattr(cell.journal, "_request", lambda row: read.append(row) or of_row(row))
    body: dict[str, Any] = {} if after is None else {"after": after}
    _kind, answer = cell.ask("list", **body)
    assert (len(answer["requests"]), answer["more"]) == (1, True)
    assert len(read) == 2
