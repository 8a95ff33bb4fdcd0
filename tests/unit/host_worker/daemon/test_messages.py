# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message that a host sends is one that the schema accepts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.host_worker.daemon import messages
from maglica.model.request import (
    Failure,
    Phase,
    Request,
    State,
    new_request_id,
)
from maglica.model.vm import Domain
from maglica.verbs import table
from maglica.verbs.clone import CLONE, CloneSpec
from maglica.wire import features, frames
from maglica.wire import messages as schema

HOST = "kvm0.example.jp"
REQUEST = Request(new_request_id(), CloneSpec("vm0.example.jp", "sl6"), State.RUNNING)
VM = Domain("vm0.example.jp", new_request_id(), HOST, "running", active=True, image="sl6")


def asked(made: frames.Message) -> dict:
    """The body as the client worker gets it."""
    received = frames.decode(frames.encode(made))
    return schema.asked(received.type, received.body)


def test_ack_and_progress() -> None:
    assert asked(messages.ack(HOST, REQUEST.id)) == {"host": HOST, "id": REQUEST.id}
    phases = tuple(Phase(f"p{number}", 1.0) for number in range(100))
    body = asked(messages.progress(HOST, REQUEST.id, "copy", phases))
    assert body["phases"] == phases[-messages.MAX_PHASES :]


def test_results() -> None:
    done = replace(REQUEST, state=State.DONE, vm=VM, phases=(Phase("copy", 0.5),))
    assert asked(messages.result(HOST, done))["vm"] == VM
    failed = replace(REQUEST, state=State.FAILED, failure=Failure("no_room", "full"))
    assert asked(messages.result(HOST, failed))["failure"] == Failure("no_room", "full")


def test_what_came_later_is_told_to_those_only_who_know_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(features._OF_DOMAIN, "later", ("image",))
    monkeypatch.setitem(table._BY_NAME, "clone", replace(CLONE, later={"tags": "later"}))
    spec = replace(REQUEST.spec, tags=("web",))
    done = replace(REQUEST, spec=spec, state=State.DONE, vm=VM)
    for known, image, tags in (((), None, ()), (("later", "progress_counts"), "sl6", ("web",))):
        body = asked(messages.result(HOST, done, True, known))
        assert (body["vm"].image, body["request"].spec.tags) == (image, tags)
        body = asked(messages.ack(HOST, done.id, done, known))
        assert body["request"].spec.tags == tags


def test_a_refused_result_is_told_as_a_failure_without_its_vm() -> None:
    done = replace(REQUEST, state=State.DONE, vm=VM, phases=(Phase("copy", 0.5),))
    body = asked(messages.refused(HOST, done))
    assert (body["state"], body["vm"]) == (State.FAILED, None)
    assert body["failure"].text == (
        "clone vm0.example.jp on host kvm0.example.jp is done, but the client worker refuses its"
        " result; the host worker's log says why"
    )
    failed = replace(REQUEST, state=State.FAILED, failure=Failure("no_room", "full"), vm=VM)
    body = asked(messages.refused(HOST, failed))
    assert (body["state"], body["failure"]) == (State.FAILED, failed.failure)
    assert body["vm"] is None
