# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request's life, from submit to result, with restarts in between."""

from __future__ import annotations

import signal
import socket

import pytest
from maglica.model.request import State
from support.client_worker import Host, Peer, Worker
from support.reports import image, made, report


def test_a_request_from_submit_to_result(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp", root_password="$6$salt$0123456789abcdef")
    assert (request.state, request.host, request.who) == (State.QUEUED, kvm0.name, "admin")
    assert request.spec.root_password is None

    published = kvm0.heard_request()
    assert published.id == request.id
    assert published.state is State.SENT
    assert published.spec.root_password == "$6$salt$0123456789abcdef"

    client.send("wait", {"id": request.id, "version": published.version, "wait_s": 10})
    assert kvm0.tell("ack", request)[0] == "ok"
    running = client.receive()[1]["request"]
    assert running.state is State.RUNNING

    client.send("wait", {"id": request.id, "version": running.version, "wait_s": 10})
    phases = [{"name": "base", "seconds": 1.5}]
    assert kvm0.tell("progress", request, phase="copy", phases=phases)[0] == "ok"
    copying = client.receive()[1]["request"]
    assert (copying.phase, copying.phases[0].seconds) == ("copy", 1.5)

    client.send("wait", {"id": request.id, "version": copying.version, "wait_s": 10})
    assert kvm0.done(request)[0] == "ok"
    done = client.receive()[1]["request"]
    assert (done.state, done.vm.name, done.phase) == (State.DONE, "vm0.example.jp", None)
    assert client.request("status", id=request.id) == done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_restart_between_all_steps(
    worker: Worker, client: Peer, kvm0: Host, number: signal.Signals
) -> None:
    def restart() -> None:
        worker.restart(number)
        client.disconnect()
        kvm0.disconnect()

    request = client.clone("vm0.example.jp")
    restart()
    assert client.request("status", id=request.id).host == kvm0.name
    kvm0.hello()
    while kvm0.heard_request().id != request.id:
        pass
    restart()
    assert [r.id for r in kvm0.hello()["requests"]] == [request.id]
    assert kvm0.tell("ack", request)[0] == "ok"
    restart()
    assert client.request("status", id=request.id).state is State.RUNNING
    assert kvm0.hello(**{request.id: "running"})["requests"] == ()
    kvm0.tell("progress", request, phase="copy", phases=[])
    restart()
    assert client.request("status", id=request.id).phase == "copy"
    kvm0.done(request)
    restart()
    assert client.request("status", id=request.id).state is State.DONE
    assert kvm0.done(request)[0] == "ok"
    kvm0.hello(report(image(), made(request)))
    assert "name_taken" in client.clone_error("vm0.example.jp")


def test_systemd_is_kept_awake(worker: Worker) -> None:
    worker.stop()
    worker.environment["WATCHDOG_USEC"] = "400000"
    worker.start()
    path = worker.folder / "notify"
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        assert {manager.recv(100) for _turn in range(3)} == {b"WATCHDOG=1"}
        assert worker.stop() == 0
