# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from maglica.host_worker import channel
from maglica.host_worker.channel import (
    Alive,
    Begun,
    Blocked,
    Counted,
    Crashed,
    Ended,
    Idle,
    Over,
    Run,
)
from maglica.model.errors import MessageInvalid
from maglica.model.request import State, new_request_id
from maglica.model.text import MAX_TEXT

ID = new_request_id()
SAID = (
    Begun(ID, "copy"),
    Counted(ID, "copy", 7, 1 << 50),
    Over(ID, "copy", 1.5),
    Ended(ID, State.DONE),
    Alive(),
    Idle(1),
    Crashed("KeyError: 'é'"),
    Blocked("x" * MAX_TEXT),
)
WRONG = (
    ("", "not JSON"),
    ("Traceback (most recent call last):", "not JSON: b'Traceback"),
    ("[" * 100_000, "not JSON"),
    ("[]", r"none of Begun, .*: b'\[\]'"),
    ("{}", "none of Begun"),
    ('{"Gone": {}}', "none of Begun"),
    ('{"Alive": {}, "Idle": {"jobs": 1}}', "none of Begun"),
    ('{"Alive": true}', "Alive: not an object"),
    ('{"Begun": {"id": "1", "phase": "copy"}}', "Begun.id: no UUID"),
    (f'{{"Begun": {{"id": "{ID}"}}}}', "Begun: field 'phase' is missing"),
    (f'{{"Ended": {{"id": "{ID}", "state": "gone"}}}}', "Ended.state: not one of queued"),
    ('{"Idle": {"jobs": 0}}', "Idle.jobs: not a whole number"),
    ('{"Alive": {"seconds": 1}}', "Alive: unknown field 'seconds'"),
    (json.dumps({"Crashed": {"text": "\x1b[2J"}}), "Crashed.text: has a control character"),
)


@pytest.mark.parametrize("value", SAID, ids=lambda value: type(value).__name__)
def test_what_is_said_is_heard(value: channel.Said) -> None:
    line = channel.line(value)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and len(line) < channel.MAX_LINE
    assert channel.said(line) == value


def test_what_a_job_is_told() -> None:
    run = Run((ID, new_request_id()))
    assert channel.told(channel.line(run)) == run


@pytest.mark.parametrize(("line", "cause"), WRONG, ids=range(len(WRONG)))
def test_other_lines_are_refused(line: str, cause: str) -> None:
    with pytest.raises(MessageInvalid, match=cause):
        channel.said(line.encode())


def test_each_side_refuses_what_the_other_says() -> None:
    with pytest.raises(MessageInvalid, match="none of Begun"):
        channel.said(channel.line(Run((ID,))))
    with pytest.raises(MessageInvalid, match="none of Run"):
        channel.told(channel.line(Alive()))
