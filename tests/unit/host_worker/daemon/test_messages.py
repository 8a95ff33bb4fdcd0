# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message that a host sends is one that the schema accepts."""

from __future__ import annotations

from dataclasses import replace

from maglica.host_worker.daemon import messages
from maglica.model.request import (
    Failure,
    Phase,
    Request,
    State,
    new_request_id,
)
from maglica.model.vm import Domain
from maglica.verbs.clone import CloneSpec
from maglica.wire import frames
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
