# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client, an observer and a host, written from docs/protocol.md alone, without the library.

Runs by itself: ``python -I foreign_peer.py FOLDER PUBLISH_PORT REQUEST_PORT SERVER_KEY``. It makes
its keys in FOLDER, prints a line of the access file for each and one that says ``ready``, waits for
a line of input, and then plays all parts. What the page says and is not so is an AssertionError.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

HOST, OTHER, IMAGE = "kvm0.example.jp", "kvm1.example.jp", "debian12.original"
NAME_SPACE = uuid.UUID("0d4ee5a0-63a5-4f55-a6cf-2b3f8a1f5f0e")
GIB = 1 << 30
MAX_FRAME = 1048576
REPORT = {
    "cpus": 4,
    "memory_total_mib": 8192,
    "memory_free_mib": 8192,
    "domains": [
        {
            "name": IMAGE,
            "uuid": "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11",
            "active": False,
            "may_be_image": True,
            "made": False,
            "vcpus": 1,
            "memory_mib": 512,
            "disk_bytes": 2 * GIB,
        }
    ],
    "pools": [{"name": "default", "capacity_bytes": 200 * GIB, "free_bytes": 100 * GIB}],
    "networks": ["default"],
}


class Cloud:
    """Where the client worker is."""

    def __init__(self, folder: str, publish: str, request: str, server_key: str) -> None:
        self.folder = Path(folder)
        self.publish = f"tcp://127.0.0.1:{publish}"
        self.request = f"tcp://127.0.0.1:{request}"
        self.server_key = server_key.encode()
        self.context = zmq.Context()

    def make_key(self, name: str) -> tuple[bytes, bytes]:
        public, secret = zmq.curve_keypair()
        path = self.folder / f"{name}.key"
        path.touch(0o600)
        path.write_bytes(secret + b"\n")
        path.with_suffix(".pub").write_bytes(public + b"\n")
        return public, secret

    def socket(self, kind: int, key: tuple[bytes, bytes]) -> zmq.Socket:
        made = self.context.socket(kind)
        made.heartbeat_ivl, made.heartbeat_timeout, made.heartbeat_ttl = 1000, 4000, 4000
        made.tcp_maxrt = 4000
        made.handshake_ivl, made.linger = 5000, 0
        made.reconnect_ivl, made.reconnect_ivl_max = 100, 2000
        made.maxmsgsize = MAX_FRAME + 64
        made.curve_publickey, made.curve_secretkey = key
        made.curve_serverkey = self.server_key
        return made


class Asker:
    """A REQ of the owner of a key."""

    def __init__(self, cloud: Cloud, key: tuple[bytes, bytes]) -> None:
        self._socket = cloud.socket(zmq.REQ, key)
        self._socket.connect(cloud.request)

    def send(self, kind: str, body: dict[str, Any]) -> None:
        self._socket.send_multipart([b"MGL2", kind.encode("ascii"), json.dumps(body).encode()])

    def receive(self) -> tuple[str, dict[str, Any]]:
        assert self._socket.poll(60000), "no answer"
        version, kind, body = self._socket.recv_multipart()
        assert version == b"MGL2"
        return kind.decode("ascii"), json.loads(body)

    def ask(self, kind: str, /, **body: Any) -> tuple[str, dict[str, Any]]:
        self.send(kind, body)
        return self.receive()

    def raw(self, *frames: bytes) -> str:
        """Send frames; return the code of the error that must come."""
        self._socket.send_multipart(list(frames))
        kind, body = self.receive()
        assert kind == "error", (kind, body)
        return str(body["code"])

    def old_version(self) -> None:
        """Speak version 1, and be told in version 1 that it is refused."""
        self._socket.send_multipart([b"MGL1", b"hosts", b"{}"])
        version, kind, text = self._socket.recv_multipart()
        assert (version, kind) == (b"MGL1", b"error")
        assert json.loads(text)["code"] == "message_invalid"

    def code(self, kind: str, /, **body: Any) -> str:
        answer, found = self.ask(kind, **body)
        assert answer == "error", (answer, found)
        return str(found["code"])

    def one(self, kind: str, /, **body: Any) -> dict[str, Any]:
        """Ask, and return the one request that must come."""
        answer, found = self.ask(kind, **body)
        assert answer == "requests", (answer, found)
        assert "errors" not in found, found
        request: dict[str, Any]
        (request,) = found["requests"]
        return request

    def submit(self, *submissions: dict[str, Any]) -> dict[str, Any]:
        return self.one("submit", requests=list(submissions))

    def refused(self, *submissions: dict[str, Any]) -> str:
        return self.code("submit", requests=list(submissions))

    def status(self, request_id: str) -> dict[str, Any]:
        return self.one("status", ids=[request_id])


def submission(name: str, **more: Any) -> dict[str, Any]:
    spec = {"name": name, "image": IMAGE, **more}
    return {"id": str(uuid.uuid4()), "kind": "clone", "spec": spec}


def published(subscriber: zmq.Socket, kind: str, request_id: str) -> dict[str, Any]:
    """Return the message of this kind about this request; others may come before."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if subscriber.poll(100):
            topic, version, found, text = subscriber.recv_multipart()
            assert (topic, version) == (HOST.encode() + b"\0", b"MGL2")
            body: dict[str, Any] = json.loads(text)
            about = [each["id"] for each in body.get("requests", ())] or body["ids"]
            if found.decode() == kind and request_id in about:
                return body
    raise AssertionError(f"{kind} of {request_id} was not published")


def made(request: dict[str, Any]) -> dict[str, Any]:
    """The vm that a clone request makes."""
    identity = str(uuid.uuid5(NAME_SPACE, request["id"]))
    name = request["spec"]["name"]
    vm = {"name": name, "uuid": identity, "host": HOST, "state": "running", "active": True}
    return {**vm, "made": True, "image": IMAGE}


def one_clone(client: Asker, waiter: Asker, host: Asker, subscriber: zmq.Socket) -> None:
    """Follow a clone from its submission to its end."""
    secret = "$6$saltsalt$0123456789abcdef"
    wanted = submission("vm0.example.jp", root_password=secret, interfaces=[{"network": "default"}])
    answer, placed = client.ask("submit", requests=[wanted], dry_run=True)
    assert (answer, placed["placements"][0]["host"]) == ("placements", HOST)
    request = client.submit(wanted)
    assert (request["host"], request["who"], request["state"]) == (HOST, "alice", "queued")
    assert request["spec"]["root_password"] is None
    assert client.submit(wanted)["id"] == request["id"]
    other = {**wanted, "spec": {**wanted["spec"], "vcpus": 2}}
    assert client.refused(other) == "request_conflict"
    joined = client.submit({**wanted, "id": str(uuid.uuid4())})
    assert joined["id"] == request["id"]
    (heard,) = published(subscriber, "requests", request["id"])["requests"]
    assert heard["spec"]["root_password"] == secret
    # Only the client worker knows that the host has it when the host says so.
    assert client.status(request["id"])["state"] == "sent"
    assert host.ask("ack", host=HOST, id=request["id"]) == ("ok", {})
    version = client.status(request["id"])["version"]
    watched = [{"id": request["id"], "version": version}]
    waiter.send("wait", {"requests": watched, "wait_s": 60, "features": ["progress_counts"]})
    phases = [{"name": "base", "seconds": 0.5}]
    said = {"host": HOST, "id": request["id"], "phase": "copy", "phases": phases}
    assert host.ask("progress", **said, done=1, total=4) == ("ok", {})
    answer, body = waiter.receive()
    (copying,) = body["requests"]
    assert (answer, copying["phase"], copying["done"]) == ("requests", "copy", 1)
    assert "done" not in client.status(request["id"])
    held = [{"id": request["id"], "state": "running"}]
    answer, welcome = host.ask("hello", host=HOST, report=REPORT, requests=held)
    assert (answer, welcome["requests"], welcome["cancel"]) == ("welcome", [], [])
    result = {"host": HOST, "id": request["id"], "state": "done", "phases": phases}
    assert host.code("result", **result) == "message_invalid"
    wrong = {**made(request), "uuid": str(uuid.uuid4())}
    assert host.code("result", **result, vm=wrong) == "message_invalid"
    for _turn in range(2):
        assert host.ask("result", **result, vm=made(request)) == ("ok", {})
    ended = client.one("wait", requests=[{"id": request["id"], "version": 0}], wait_s=60)
    assert (ended["state"], ended["vm"]["name"]) == ("done", "vm0.example.jp")
    assert client.refused(submission("vm0.example.jp")) == "name_taken"
    # Only what has failed is tried again.
    assert client.refused({"id": str(uuid.uuid4()), "again": request["id"]}) == "again_refused"


def many_clones(client: Asker, waiter: Asker, host: Asker, subscriber: zmq.Socket) -> None:
    """Hand in several at once, let one fail and cancel another."""
    wanted = [submission(f"many{number}.example.jp") for number in range(3)]
    _answer, tail = client.ask("list", limit=1)
    answer, body = client.ask("submit", requests=wanted, dry_run=True)
    assert (answer, [each["host"] for each in body["placements"]]) == ("placements", [HOST] * 3)
    answer, body = client.ask("submit", requests=wanted)
    assert (answer, body["more"]) == ("requests", False)
    ids = [each["id"] for each in body["requests"]]
    assert ids == [each["id"] for each in wanted]
    answer, body = client.ask("list", after=tail["revision"], wait_s=60)
    assert (answer, {each["id"] for each in body["requests"]}) == ("requests", set(ids))
    for request_id in ids:
        published(subscriber, "requests", request_id)
        host.ask("ack", host=HOST, id=request_id)
    watched = [{"id": each, "version": 1 << 50} for each in ids]
    waiter.send("wait", {"requests": watched, "wait_s": 60})
    failure = {"code": "no_room", "text": "cannot clone many0 on host kvm0: no"}
    failed = {"host": HOST, "id": ids[0], "state": "failed"}
    assert host.code("result", **failed) == "message_invalid"
    assert host.ask("result", **failed, failure=failure) == ("ok", {})
    answer, body = waiter.receive()
    (over,) = body["requests"]
    assert (over["id"], over["state"], over["failure"]) == (ids[0], "failed", failure)
    assert client.one("cancel", ids=[ids[1]])["cancelling"] is True
    published(subscriber, "cancel", ids[1])
    assert host.ask("result", host=HOST, id=ids[1], state="cancelled") == ("ok", {})
    assert client.status(ids[1])["state"] == "cancelled"
    # A host that has lost its journal is told again, and what it does not know it may forget.
    answer, welcome = host.ask("hello", host=HOST, report=REPORT, requests=[])
    assert [each["id"] for each in welcome["requests"]] == [ids[2]]
    unknown = str(uuid.uuid4())
    answer, body = client.ask("status", ids=[unknown, ids[0]])
    assert [each["code"] for each in body["errors"]] == ["request_unknown"]
    assert [each["id"] for each in body["requests"]] == [ids[0]]
    again = client.submit({"id": unknown, "again": ids[0]})
    assert (again["id"], again["spec"]) == (unknown, over["spec"])
    unknown = str(uuid.uuid4())
    assert host.code("result", host=HOST, id=unknown, state="cancelled") == "request_unknown"
    answer, body = client.ask("list", limit=2)
    assert (answer, [each["id"] for each in body["requests"]]) == (
        "requests",
        [again["id"], ids[2]],
    )
    answer, body = client.ask("list", before=ids[1], states=["failed"], name="many0.example.jp")
    assert [each["id"] for each in body["requests"]] == [ids[0]]


def refusals(cloud: Cloud, client: Asker, observer: Asker, host: Asker) -> None:
    """Break the page's rules."""
    invalid = "message_invalid"
    assert client.raw(b"MGL0", b"hosts", b"{}") == invalid
    assert client.raw(b"MGL2", b"unknown", b"{}") == invalid
    client.old_version()
    assert client.raw(b"MGL2", b"hosts") == invalid
    for text in (b"", b"[]", b"{}{}", b'{"after":"a","after":"b"}', b'{"after":NaN}', b"\xff"):
        assert client.raw(b"MGL2", b"hosts", text) == invalid, text
    assert client.code("hosts", after=None) == invalid
    assert client.code("hosts", before="a") == invalid
    assert client.code("list", limit=10**20) == invalid
    assert client.refused(submission("no_host_name")) == invalid
    assert client.refused(submission("vm1", image="nowhere")) == "image_unknown"
    assert client.refused(submission("vm1", host="nowhere")) == "host_unknown"
    assert client.refused({**submission("vm1"), "peer": HOST}) == invalid
    assert client.refused({**submission("vm1"), "parent": str(uuid.uuid4())}) == "request_unknown"
    assert observer.ask("hosts")[1]["hosts"][0]["alive"] is True
    assert observer.ask("domains", hosts=[HOST])[1]["hosts"][0]["alive"] is True
    assert observer.code("submit", requests=[submission("vm1")]) == "access_denied"
    assert client.code("hello", host=HOST, report=REPORT, requests=[]) == "access_denied"
    assert host.code("hello", host=OTHER, report=REPORT, requests=[]) == "access_denied"
    assert host.code("hosts") == "access_denied"
    stranger = cloud.socket(zmq.REQ, cloud.make_key("stranger"))
    monitor = stranger.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    stranger.connect(cloud.request)
    assert monitor.poll(60000)
    assert recv_monitor_message(monitor)["value"] == 400


def main(words: list[str]) -> None:
    cloud = Cloud(*words)
    names = {"client": "alice", "observer": "bob", "host": HOST}
    keys = {role: cloud.make_key(role) for role in names}
    for role, (public, _secret) in keys.items():
        print(role, names[role], public.decode())
    print("ready", flush=True)
    sys.stdin.readline()
    client, observer, host = (Asker(cloud, key) for key in keys.values())
    waiter = Asker(cloud, keys["client"])
    subscriber = cloud.socket(zmq.SUB, keys["host"])
    subscriber.subscribe(HOST.encode() + b"\0")
    subscriber.connect(cloud.publish)
    answer, welcome = host.ask("hello", host=HOST, report=REPORT, requests=[])
    assert (answer, welcome["requests"], welcome["cancel"]) == ("welcome", [], [])
    assert "progress_counts" in welcome["features"]
    one_clone(client, waiter, host, subscriber)
    many_clones(client, waiter, host, subscriber)
    refusals(cloud, client, observer, host)
    assert not [name for name in sys.modules if name.startswith("maglica")]
    print("all is as the page says", flush=True)
    cloud.context.destroy(0)


if __name__ == "__main__":
    main(sys.argv[1:])
