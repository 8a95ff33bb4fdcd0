# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is killed, cut off or hangs: every request ends, and takes effect once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from maglica.model.request import State
from support.client_worker import eventually
from support.host_worker import HOST, Cell

NAME = "vm0.example.jp"
STEPS = ("before", "intended", "copied", "defined")
LAST_STEPS = (*STEPS, "done")


def blocked_at(cell: Cell, step: str, name: str = NAME) -> object:
    """Return a request whose job waits at a step."""
    cell.host.block(name, step)
    cell.start()
    request = cell.clone(name)
    phase = "define" if step in ("defined", "done") else "copy"
    if step == "done":
        eventually(lambda: cell.host.made == [name])
    else:
        cell.wait_phase(request, phase)
    if step == "copied":
        eventually(lambda: cell.host.drafts == [name])
    if step == "defined":
        eventually(lambda: cell.host.made == [name])
    return request


def nothing_is_left(cell: Cell, request: object) -> None:
    assert (cell.host.made, cell.host.drafts) == ([], [])
    assert cell.host.journal().intents(request.id) == ()


def made_once(cell: Cell, request: object) -> None:
    assert cell.ended(request).state is State.DONE
    assert cell.host.made == [NAME]
    assert cell.host.effects.count(f"made {NAME}") <= 1 + cell.host.effects.count(f"undone {NAME}")
    assert cell.host.journal().intents(request.id) == ()
    eventually(lambda: cell.host.journal().entry(request.id).reported)


@pytest.mark.parametrize("step", LAST_STEPS)
def test_the_worker_is_killed(cell: Cell, step: str) -> None:
    request = blocked_at(cell, step)
    children = cell.host.children()
    cell.host.stop(signal.SIGKILL)
    eventually(lambda: not set(children) & set(cell.host.children()))
    cell.host.unblock(NAME, step)
    cell.host.start()
    made_once(cell, request)
    assert cell.host.journal().entry(request.id).attempts == 0


@pytest.mark.parametrize("victim", ["guard", "job"])
@pytest.mark.parametrize("step", STEPS)
def test_the_child_is_killed(cell: Cell, step: str, victim: str) -> None:
    request = blocked_at(cell, step)
    guard, job = cell.host.children()
    os.kill(guard if victim == "guard" else job, signal.SIGKILL)
    eventually(lambda: not {guard, job} & set(cell.host.children()))
    cell.host.unblock(NAME, step)
    made_once(cell, request)
    assert cell.host.journal().entry(request.id).attempts == 1


def test_both_workers_are_killed(cell: Cell) -> None:
    request = blocked_at(cell, "copied")
    cell.worker.stop(signal.SIGKILL)
    cell.host.stop(signal.SIGKILL)
    cell.host.unblock(NAME, "copied")
    cell.host.start()
    eventually(lambda: cell.host.made == [NAME])
    cell.worker.start()
    made_once(cell, request)
    assert cell.host.journal().entry(request.id).attempts == 0


def test_a_request_that_kills_its_job_three_times_fails(cell: Cell) -> None:
    cell.start()
    request = cell.ended(cell.clone("crash0.example.jp"))
    assert request.state is State.FAILED
    assert request.failure.code == "job_died"
    assert request.failure.text == (
        f"cannot clone crash0.example.jp on host {HOST}: the process that did it ended 3 times"
        " without a result, the last time: signal SIGABRT"
    )
    nothing_is_left(cell, request)


def test_a_batch_survives_the_member_that_kills_it(cell: Cell) -> None:
    first = blocked_at(cell, "copied", "vm1.example.jp")
    others = [cell.clone(name) for name in ("vm2.example.jp", "crash3.example.jp", NAME)]
    cell.host.unblock("vm1.example.jp", "copied")
    states = [cell.ended(request).state.value for request in (first, *others)]
    assert states == ["done", "done", "failed", "done"]
    assert cell.host.made == [NAME, "vm1.example.jp", "vm2.example.jp"]
    assert cell.host.drafts == []


@pytest.mark.parametrize("step", STEPS)
def test_cancel(cell: Cell, step: str) -> None:
    request = blocked_at(cell, step)
    cell.client.request("cancel", id=request.id)
    assert cell.ended(request).state is State.CANCELLED
    nothing_is_left(cell, request)
    assert cell.host.children() != []


def test_cancel_of_a_hung_child(cell: Cell) -> None:
    cell.start()
    request = cell.clone("hang0.example.jp")
    cell.wait_phase(request, "copy")
    for process in cell.host.children():
        os.kill(process, signal.SIGSTOP)
    cell.client.request("cancel", id=request.id)
    assert cell.ended(request).state is State.CANCELLED
    nothing_is_left(cell, request)


def stuck_in_a_write(cell: Cell) -> object:
    """Return a request whose job has the journal's lock for good."""
    # Only then: with the lock taken its worker could not keep in which phase it is.
    request = blocked_at(cell, "intended", "lock0.example.jp")
    cell.host.unblock("lock0.example.jp", "intended")
    eventually(lambda: cell.host.drafts)
    return request


def test_cancel_of_a_child_that_hangs_in_a_write_of_the_journal(cell: Cell) -> None:
    request = stuck_in_a_write(cell)
    cell.client.request("cancel", id=request.id)
    assert cell.ended(request).state is State.CANCELLED
    nothing_is_left(cell, request)


@pytest.mark.alone
def test_a_child_that_hangs_in_a_write_is_ended_and_the_host_stays_alive(cell: Cell) -> None:
    cell.host.options["job_silence"] = 4
    stuck = stuck_in_a_write(cell)
    request = cell.clone(NAME)
    eventually(lambda: "database is locked" in (cell.status().report.problem or ""))
    assert cell.status().alive
    eventually(lambda: cell.now(stuck).state.ended)
    assert cell.now(stuck).failure.code == "job_died"
    made_once(cell, request)


def test_a_job_without_progress_is_ended(cell: Cell) -> None:
    # Long enough for a process to start on a busy machine: the job that undoes has no longer.
    cell.host.options["job_silence"] = 6
    cell.start()
    request = cell.ended(cell.clone("hang0.example.jp"))
    assert request.failure.code == "job_died"
    assert request.failure.text.endswith("the last time: no progress for 6 s")
    nothing_is_left(cell, request)


@pytest.mark.alone
def test_a_silent_job_that_moves_bytes_goes_on(cell: Cell) -> None:
    cell.host.options["job_silence"] = 4
    cell.start()
    # Its process is there then, and takes no time to start.
    made_once(cell, cell.clone(NAME))
    request = cell.ended(cell.clone("busy0.example.jp"))
    assert request.state is State.DONE
    assert request.phases[0].seconds > 5
    assert cell.host.journal().entry(request.id).attempts == 0


def test_cancel_of_one_leaves_its_mates(cell: Cell) -> None:
    first = blocked_at(cell, "copied", "vm1.example.jp")
    second, third = (cell.clone(name) for name in ("vm2.example.jp", "vm3.example.jp"))
    cell.host.block("vm2.example.jp", "copied")
    cell.host.unblock("vm1.example.jp", "copied")
    cell.wait_phase(second, "copy")
    cell.client.request("cancel", id=third.id)
    assert cell.ended(third).state is State.CANCELLED
    cell.host.unblock("vm2.example.jp", "copied")
    assert cell.ended(first).state is cell.ended(second).state is State.DONE
    assert cell.host.made == ["vm1.example.jp", "vm2.example.jp"]
    assert cell.host.journal().entry(second.id).attempts == 0


def test_cancel_of_one_that_waits(cell: Cell) -> None:
    first = blocked_at(cell, "copied")
    waiting = cell.clone("vm1.example.jp")
    cell.client.request("cancel", id=waiting.id)
    assert cell.ended(waiting).state is State.CANCELLED
    assert not cell.now(first).state.ended
    cell.host.unblock(NAME, "copied")
    made_once(cell, first)


def test_cancel_while_the_host_is_down(cell: Cell) -> None:
    request = blocked_at(cell, "copied")
    cell.host.stop(signal.SIGKILL)
    cell.client.request("cancel", id=request.id)
    cell.host.start()
    assert cell.ended(request).state is State.CANCELLED
    nothing_is_left(cell, request)


def test_what_cannot_be_undone_is_tried_until_it_is(cell: Cell) -> None:
    request = blocked_at(cell, "copied")
    cell.host.block(NAME, "undo-fails")
    cell.client.request("cancel", id=request.id)
    eventually(lambda: "cannot undo" in cell.host.log)
    assert not cell.now(request).state.ended
    assert cell.host.drafts == [NAME]
    cell.host.restart(signal.SIGKILL)
    cell.host.unblock(NAME, "undo-fails")
    assert cell.ended(request).state is State.CANCELLED
    nothing_is_left(cell, request)


def test_sigterm_lets_jobs_end(cell: Cell) -> None:
    request = blocked_at(cell, "copied")
    cell.host.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert cell.host.process.poll() is None
    cell.host.unblock(NAME, "copied")
    assert cell.host.process.wait(60) == 0
    assert cell.now(request).state is State.DONE
    assert cell.host.children() == []


def test_the_client_worker_comes_later(cell: Cell) -> None:
    cell.host.start()
    # A child that waits for its first job: it is ready, and nobody has answered.
    eventually(cell.host.children)
    assert cell.host.process.poll() is None
    cell.worker.start()
    cell.wait_alive()
    made_once(cell, cell.clone(NAME))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_client_worker_restarts(cell: Cell, number: int) -> None:
    request = blocked_at(cell, "copied")
    cell.worker.stop(number)
    cell.host.unblock(NAME, "copied")
    eventually(lambda: cell.host.made == [NAME])
    cell.worker.start()
    made_once(cell, request)
    again = cell.clone("vm1.example.jp")
    assert cell.ended(again).state is State.DONE


def test_a_client_worker_that_was_restarted_knows_the_host_at_once(cell: Cell) -> None:
    # Longer than is waited here: a hello that comes is one for the restart.
    cell.host.options["hello_interval"] = 600
    cell.start()
    for _turn in range(2):
        # A host counts as alive by what the journal kept; only a new hello is seen later.
        seen = cell.status().seen
        cell.worker.restart(signal.SIGKILL)
        eventually(lambda seen=seen: cell.status().seen > seen)
        assert cell.status().alive


def test_the_client_worker_hangs(cell: Cell) -> None:
    cell.start()
    before = len(cell.host.log)
    cell.worker.process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: "; trying again" in cell.host.log[before:])
    finally:
        cell.worker.process.send_signal(signal.SIGCONT)
    made_once(cell, cell.clone(NAME))
    assert cell.host.process.poll() is None


def test_a_key_that_is_refused_and_later_allowed(cell: Cell) -> None:
    cell.worker.access.pop(cell.host.keys.public.decode())
    cell.worker.write_access()
    cell.worker.start()
    cell.host.start()
    eventually(lambda: "refuses the public key" in cell.host.log)
    assert cell.status() is None
    cell.host.allow()
    cell.wait_alive()
    made_once(cell, cell.clone(NAME))


def test_a_key_that_is_taken_away_and_given_back(cell: Cell) -> None:
    request = blocked_at(cell, "copied")
    cell.worker.revoke(cell.host.keys)
    eventually(lambda: not cell.status().alive)
    eventually(lambda: "refuses the public key" in cell.host.log)
    cell.host.unblock(NAME, "copied")
    eventually(lambda: cell.host.made == [NAME])
    assert not cell.now(request).state.ended
    cell.host.allow()
    cell.wait_alive()
    made_once(cell, request)
    assert cell.ended(cell.clone("vm1.example.jp")).state is State.DONE


def test_the_client_worker_moves_to_another_address(cell: Cell, tmp_path: Path) -> None:
    """Its name is looked up anew; the host worker has an /etc/hosts of its own."""
    names = tmp_path / "hosts"
    worker = cell.host.command()
    bind = 'mount --bind "$0" /etc/hosts && exec "$@"'
    own_names = ["unshare", "--mount", "sh", "-c", bind, str(names)]
    cell.host.address = "client.example.jp"
    cell.host.command = lambda: [*own_names, *worker]
    cell.host.write_config()
    for number, address in enumerate(("127.0.0.2", "127.0.0.3")):
        names.write_text(f"{address} client.example.jp\n")
        cell.client.disconnect()
        cell.worker.stop()
        cell.worker.move(address)
        cell.worker.start()
        if cell.host.process is None:
            cell.host.start()
        cell.wait_alive()
        assert cell.ended(cell.clone(f"vm{number}.example.jp")).state is State.DONE
