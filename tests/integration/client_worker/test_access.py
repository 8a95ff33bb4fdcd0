# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in: keys, topics, revocation. faults/access.py tries who may do what."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from maglica.model.errors import AccessDenied
from maglica.model.request import State, new_request_id
from maglica.wire import keys, sockets
from maglica.wire.frames import VERSION, Message, decode, encode
from support import zmtp
from support.client_worker import LOOPBACK, Host, Peer, Worker, environment, eventually
from support.reports import report

OTHER = "kvm1.example.jp"


def test_unknown_key_is_refused(worker: Worker) -> None:
    stranger = Peer(worker, keys.make(worker.folder / "stranger.key"))
    refused(stranger)
    assert "unknown key" in worker.log


def test_no_curve_is_refused(worker: Worker) -> None:
    plain = Peer(worker, None)
    plain.send("hosts", {})
    with pytest.raises(TimeoutError):
        plain.receive(1)


def test_other_server_key_gets_no_connection(worker: Worker) -> None:
    """A client that expects another client worker is not fooled by this one."""
    client = worker.peer("client", "admin")
    other = keys.make(worker.folder / "other.key").public.decode()
    worker.where = type(worker.where)(
        worker.where.address, worker.where.publish_port, worker.where.request_port, other
    )
    client.send("hosts", {})
    with pytest.raises(TimeoutError):
        client.receive(1)


@pytest.mark.parametrize("role", ["client", "observer"])
def test_only_hosts_may_listen(worker: Worker, client: Peer, kvm0: Host, role: str) -> None:
    listener = Host(worker, kvm0.name, worker.grant(role, kvm0.name))
    listener.listen()
    eventually(lambda: "may not use maglica.publish" in worker.log)
    assert f"{role} {kvm0.name} from {LOOPBACK} may not" in worker.log
    request = client.clone("vm0.example.jp")
    assert kvm0.heard_request().id == request.id
    assert listener.hear(0.2) is None


@pytest.mark.parametrize(
    "wanted", [b"kvm1\0", b"kvm1", b"kvm10", b"kvm", b"", b"\0", b"kvm1\xff\0"]
)
def test_no_eavesdropping(worker: Worker, client: Peer, wanted: bytes) -> None:
    """Neither another host's topic nor a prefix of several brings another host's requests."""
    victims = [worker.host(name) for name in ("kvm1", "kvm10")]
    for victim in victims:
        victim.listen()
        victim.hello()
    spy = worker.host("spy")
    spy.listen()
    spy.hello(report(memory_total_mib=1))
    assert spy.listener is not None
    spy.listener.subscribe(wanted)
    eventually(lambda: f"refused a subscription of host spy to {wanted!r}" in worker.log)
    for victim in victims:
        request = client.clone(f"{victim.name}-vm", host=victim.name)
        assert victim.heard_request().id == request.id
    assert spy.hear(0.2) is None


def test_hosts_whose_names_begin_alike_hear_their_own(worker: Worker, client: Peer) -> None:
    hosts = [worker.host(name) for name in ("kvm1", "kvm10")]
    for host in hosts:
        host.listen()
        host.hello()
    ids = [client.clone(f"{host.name}-vm", host=host.name).id for host in hosts]
    assert [host.heard_request().id for host in hosts] == ids
    # What was not acknowledged may come again.
    for host, own in zip(hosts, ids):
        assert {request.id for request in host.drained()} <= {own}


def test_a_spy_that_leaves_takes_nobody_else_along(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    spy = worker.host(OTHER)
    spy.listen(kvm0.name)
    eventually(lambda: "refused a subscription" in worker.log)
    spy.deaf()
    request = client.clone("vm0.example.jp")
    assert kvm0.heard_request().id == request.id


def test_revoked_key_is_refused_at_its_next_message(worker: Worker) -> None:
    client, other = worker.peer("client", "admin"), worker.peer("client", "other")
    assert client.ask("hosts")[0] == other.ask("hosts")[0] == "hosts"
    assert client.keys is not None
    worker.revoke(client.keys)
    assert "access_denied" in client.error("hosts")
    client.disconnect()
    refused(client)
    worker.access[client.keys.public.decode()] = "client admin"
    worker.write_access()
    client.disconnect()
    assert client.ask("hosts")[0] == "hosts"


def test_revoked_host_hears_nothing_more(worker: Worker, client: Peer, kvm0: Host) -> None:
    """The old key's connection is open still; the same host's new key goes on."""
    new = Host(worker, kvm0.name, worker.grant("host", kvm0.name))
    new.hello()
    new.listen()
    assert kvm0.keys is not None
    worker.revoke(kvm0.keys)
    eventually(lambda: new.ask("hello", **hello_of(new))[0] == "welcome")
    request = client.clone("vm0.example.jp")
    while new.heard_request().id != request.id:
        pass
    assert kvm0.hear(0.5) is None
    assert "access_denied" in kvm0.error("hello", **hello_of(kvm0))


def test_two_keys_of_one_host_during_a_rotation(worker: Worker, client: Peer, kvm0: Host) -> None:
    new = Host(worker, kvm0.name, worker.grant("host", kvm0.name))
    new.listen()
    new.hello()
    request = client.clone("vm0.example.jp")
    assert new.heard_request().id == kvm0.heard_request().id == request.id
    assert kvm0.tell("ack", request)[0] == new.tell("ack", request)[0] == "ok"


def test_bad_access_file_leaves_the_keys_in_force(worker: Worker, client: Peer) -> None:
    assert client.ask("hosts")[0] == "hosts"
    good = (worker.folder / "access").read_text()
    (worker.folder / "access").write_text(good + "client admin nokey\n")
    assert client.ask("hosts")[0] == "hosts"
    eventually(lambda: "access:2: not a key of 40" in worker.log)
    assert client.ask("hosts")[0] == "hosts"
    assert worker.log.count("not a key of 40") == 1
    (worker.folder / "access").unlink()
    assert client.ask("hosts")[0] == "hosts"
    eventually(lambda: "No such file" in worker.log)


def test_an_access_file_that_is_being_written_revokes_nobody(worker: Worker, client: Peer) -> None:
    other = worker.peer("observer", "eve")
    request_id = new_request_id()
    assert client.ask("hosts")[0] == other.ask("hosts")[0] == "hosts"
    path = worker.folder / "access"
    good = path.read_text()
    for text, said in (("", "no key is in it"), (good[:90], "its last line has no end")):
        path.write_text(text)
        eventually(lambda said=said: other.ask("hosts")[0] == "hosts" and said in worker.log)
        assert "request_unknown" in client.error("status", id=request_id)
    path.write_text(good.splitlines(keepends=True)[0])
    assert "access_denied" in other.error("hosts")
    assert client.ask("hosts")[0] == "hosts"


def test_nobody_waits_under_a_routing_id_of_its_own_choice(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    """Whoever has another key could choose the same once the first has left."""
    request = client.clone("vm0.example.jp")
    assert client.keys is not None
    choosing = worker.context.socket(zmq.REQ)
    choosing.routing_id = b"alice"
    choosing.curve_secretkey, choosing.curve_publickey = client.keys.secret, client.keys.public
    choosing.curve_serverkey = worker.keys.public
    choosing.connect(sockets.endpoint(LOOPBACK, worker.where.request_port))
    body = {"id": request.id, "version": 9, "timeout": 60}
    choosing.send_multipart(encode(Message("wait", body)))
    assert choosing.poll(60000)
    answer = decode(choosing.recv_multipart())
    assert "must not choose its routing id" in answer.body["text"]
    choosing.close(0)


def test_host_without_a_key_is_down_and_its_requests_can_be_cancelled(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    request = client.clone("vm0.example.jp")
    kvm0.tell("ack", request)
    assert kvm0.keys is not None
    worker.revoke(kvm0.keys)
    eventually(lambda: "not in the access file any more" in worker.log)
    assert client.request("cancel", id=request.id).state is State.CANCELLED
    # Allowed again, it is told to drop what was cancelled meanwhile.
    worker.access[kvm0.keys.public.decode()] = f"host {kvm0.name}"
    worker.write_access()
    kvm0.disconnect()
    assert kvm0.hello(**{request.id: "running"})["cancel"] == (request.id,)


def test_what_was_being_cancelled_when_its_host_lost_its_key_can_be_ended(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    request = client.clone("vm0.example.jp")
    kvm0.tell("ack", request)
    assert client.request("cancel", id=request.id).cancelling
    assert kvm0.keys is not None
    worker.revoke(kvm0.keys)
    eventually(lambda: "not in the access file any more" in worker.log)
    assert client.request("cancel", id=request.id).state is State.CANCELLED


def test_insecure_serves_loopback_only(tmp_path: Path) -> None:
    worker = Worker(tmp_path, bind="0.0.0.0")
    text = worker.config_file.read_text().replace(
        "[client_worker]\n", "[client_worker]\ninsecure = yes\n"
    )
    worker.config_file.write_text(text)
    done = subprocess.run(
        worker.command(), check=False, env=environment(), capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert "insecure is refused on 0.0.0.0" in done.stderr
    worker.config_file.write_text(text.replace("bind = 0.0.0.0", "bind = 127.0.0.1"))
    try:
        worker.start()
        host = Host(worker, "kvm0.example.jp", None)
        host.listen()
        host.hello()
        request = Peer(worker, None).clone("vm0.example.jp")
        assert host.heard_request().id == request.id
    finally:
        worker.close()


def test_raw_bytes_on_both_ports_do_no_harm(worker: Worker, client: Peer) -> None:
    for port in worker.ports:
        for data in (
            b"GET / HTTP/1.1\r\n\r\n",
            bytes(range(256)) * 64,
            b"\xff" + b"\0" * 8 + b"\x7f",
        ):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.sendall(data)
    assert client.ask("hosts")[0] == "hosts"
    assert VERSION not in worker.log.encode()


def test_each_kind_of_reject_is_counted(worker: Worker, client: Peer, kvm0: Host) -> None:
    """SIGUSR1 lets the client worker say how often what was rejected."""
    rejected(worker)
    for port in worker.ports:
        for data in zmtp.downgrades("REQ", [b"", VERSION, b"hosts", b"{}"]).values():
            with socket.create_connection(("127.0.0.1", port)) as raw, suppress(OSError):
                raw.sendall(data)
                raw.settimeout(0.05)
                raw.recv(1000)
    refused(Peer(worker, keys.make(worker.folder / "stranger.key")))
    gone = worker.peer("client", "gone")
    gone.ask("hosts")
    assert gone.keys is not None
    worker.revoke(gone.keys)
    gone.error("hosts")
    client.error("hosts", after=1)
    client.error("nothing")
    client.error("ack", host=kvm0.name, id="0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e")
    kvm0.error("hello", **{**hello_of(kvm0), "host": OTHER})
    request = client.clone("vm0.example.jp")
    gone, left = worker.peer("observer", "gone"), worker.peer("observer", "left")
    for peer, seconds in ((gone, 60), (left, 4)):
        # Connected, so that what it sends next is there at once.
        peer.ask("hosts")
        peer.send("wait", {"id": request.id, "version": 9, "wait_s": seconds})
    # Both waits are there before the one is revoked and the other gone.
    time.sleep(0.5)
    left.disconnect()
    assert gone.keys is not None
    worker.revoke(gone.keys)
    assert gone.receive()[1]["code"] == "access_denied"
    assert kvm0.listener is not None
    kvm0.listener.subscribe(b"")
    expected = {"body": 1, "connection": 1, "frames": 1, "other_host": 1, "role": 1}
    expected |= {"subscription": 1, "unknown_key": 1, "revoked": 1, "unsent": 1}
    eventually(lambda: (found := rejected(worker)).items() >= expected.items() and found)
    # Not those that went away before they had said anything wrong.
    assert rejected(worker)["handshake"] >= 10


def rejected(worker: Worker) -> dict[str, int]:
    """How many messages of which kind the client worker has rejected."""
    assert worker.process is not None
    mark = "rejected so far: "
    before = worker.log.count(mark)
    worker.process.send_signal(signal.SIGUSR1)
    eventually(lambda: worker.log.count(mark) > before)
    text = worker.log.rsplit(mark, 1)[1].splitlines()[0]
    words = [] if text == "nothing" else text.split(", ")
    return {reason: int(count) for reason, count in (word.split(" ") for word in words)}


def hello_of(host: Host) -> dict[str, Any]:
    return {"host": host.name, "report": report(), "requests": []}


def refused(peer: Peer) -> None:
    """Check that the peer's connection is refused by its key."""
    link = sockets.connect_requests(peer.worker.context, peer.keys, peer.worker.where)

    def check() -> bool:
        try:
            link.check()
        except AccessDenied:
            return True
        return False

    try:
        eventually(check)
    finally:
        link.close()
