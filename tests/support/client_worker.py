# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real client worker process, and clients and hosts that speak to it by plain sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq
from maglica.config.config import ClientWorker
from maglica.model.errors import NotReady
from maglica.model.plain import plain
from maglica.model.request import HostReport, HostStatus, Request
from maglica.verbs import table
from maglica.wire import keys, messages, sockets
from maglica.wire.frames import Message, decode, encode
from support import one_request
from support.ports import LOOPBACK, free_port
from support.reports import clone, report, vm

LIBRARY = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
# For what comes sooner or later, also on a machine on which much else runs.
LONG_PATIENCE = 60.0

Answer = tuple[str, dict[str, Any]]


class Worker:
    """The client worker's process, its folder with configuration, keys and access file."""

    def __init__(self, folder: Path, **service: object) -> None:
        self.folder = folder
        self.keys = keys.make(folder / "client_worker.key")
        self.process: subprocess.Popen[bytes] | None = None
        self.ports = [free_port(), free_port()]
        self.access: dict[str, str] = {}
        self.where = ClientWorker(LOOPBACK, *self.ports, self.keys.public.decode())
        self._options = {
            "bind": LOOPBACK,
            "secret_key_file": "client_worker.key",
            "access_file": "access",
            "journal": "journal.sqlite",
            **service,
        }
        self.context = sockets.context()
        self.environment: dict[str, str] = {}
        self.write_config()
        self.write_access()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def config_file(self) -> Path:
        return self.folder / "maglica.conf"

    def write_config(self, *more: str) -> None:
        lines = ["[client_worker]", f"address = {LOOPBACK}"]
        lines += [f"publish_port = {self.ports[0]}", f"request_port = {self.ports[1]}"]
        lines += ["[client_worker_service]"]
        # A domain that libvirt's test driver has by itself is larger than the test driver's node.
        options = {**self._options, "memory_overcommit": 6}
        lines += [f"{name} = {value}" for name, value in options.items()]
        self.config_file.write_text("\n".join([*lines, *more, ""]))

    def move(self, address: str) -> None:
        """Let the next start serve at another address of this machine."""
        self._options["bind"] = address
        self.where = replace(self.where, address=address)
        self.write_config()

    def grant(self, role: str, name: str) -> keys.KeyPair:
        """Make a key and give it this role and name."""
        pair = keys.make(self.folder / f"{role}.{name}.{len(self.access)}.key")
        self.access[pair.public.decode()] = f"{role} {name}"
        self.write_access()
        return pair

    def revoke(self, pair: keys.KeyPair) -> None:
        del self.access[pair.public.decode()]
        self.write_access()

    def library(self, name: str) -> Path:
        """Write the configuration of a library whose key has the role client; return its path."""
        pair = self.grant("client", name)
        key, path = self.folder / "library.key", self.folder / "library.conf"
        key.write_bytes(pair.secret)
        key.chmod(0o600)
        lines = ["[client_worker]", f"address = {LOOPBACK}"]
        lines += [f"publish_port = {self.ports[0]}", f"request_port = {self.ports[1]}"]
        lines += [f"public_key = {self.where.public_key}", "[library]", f"secret_key_file = {key}"]
        path.write_text("\n".join([*lines, ""]))
        return path

    def write_access(self) -> None:
        lines = [f"{owner} {key}\n" for key, owner in self.access.items()]
        draft = self.folder / "access.new"
        draft.write_text("".join(lines))
        draft.chmod(0o644)
        draft.replace(self.folder / "access")

    def command(self, *arguments: str) -> list[str]:
        worker = [sys.executable, "-m", "maglica.client_worker.main"]
        return [*worker, "--config", str(self.config_file), *arguments]

    def start(self) -> None:
        """Start the process and wait until it says that it is ready."""
        ready = self.folder / "notify"
        ready.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(ready))
            notify.settimeout(0.1)
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    self.command(),
                    env=environment(NOTIFY_SOCKET=str(ready), **self.environment),
                    stderr=log,
                )

            def ready_or_dead() -> bool:
                with contextlib.suppress(TimeoutError):
                    return notify.recv(100) == b"READY=1"
                assert self.process is not None
                assert self.process.poll() is None, self.log
                return False

            eventually(ready_or_dead)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process with this signal; return its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(LONG_PATIENCE)
        self.process = None
        return code

    def restart(self, number: int = signal.SIGTERM) -> None:
        self.stop(number)
        self.start()

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self.context.destroy(0)

    def peer(self, role: str, name: str) -> Peer:
        return Peer(self, self.grant(role, name))

    def host(self, name: str) -> Host:
        return Host(self, name, self.grant("host", name))


class Peer:
    """The owner of a key with a REQ to the request port; ``request_keys`` None: no CURVE.

    ``patience`` is how long it waits for a reply where nothing else is said.
    """

    patience = LONG_PATIENCE

    def __init__(self, worker: Worker, pair: keys.KeyPair | None) -> None:
        self.worker = worker
        self.keys = pair
        self._link: sockets.Link | None = None
        self._about_one = False

    def connect(self) -> zmq.Socket:
        if self._link is None:
            self._link = sockets.connect_requests(self.worker.context, self.keys, self.worker.where)
        return self._link.socket

    def disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def send(self, kind: str, body: dict[str, Any]) -> None:
        self._about_one = one_request.is_one(kind, body)
        listed = one_request.listed(kind, body)
        if "features" in messages.ASKED.get(kind, ({}, ()))[0]:
            # It knows all verbs, and what came with them.
            listed = {"features": list(table.FEATURES), **listed}
        self.connect().send_multipart(encode(Message(kind, plain(listed))))

    def receive(self, timeout: float | None = None) -> Answer:
        """Return type and body of the reply; the body is checked as a client would.

        The answer to a message about one request is given as one about it.
        """
        socket = self.connect()
        timeout = self.patience if timeout is None else timeout
        if not socket.poll(timeout * 1000):
            self.disconnect()
            raise TimeoutError(f"no reply in {timeout:g} s")
        message = decode(socket.recv_multipart())
        body = messages.answered(message.type, message.body)
        return one_request.alone(message.type, body) if self._about_one else (message.type, body)

    def ask(self, asked: str, /, **body: Any) -> Answer:
        self.send(asked, body)
        return self.receive()

    def error(self, asked: str, /, **body: Any) -> str:
        """Ask, and return code and text of the error that must come."""
        kind, answer = self.ask(asked, **body)
        assert kind == "error", (kind, answer)
        return f"{answer['code']}: {answer['text']}"

    def request(self, asked: str, /, **body: Any) -> Request:
        """Ask, and return the request that must come."""
        kind, answer = self.ask(asked, **body)
        assert kind == "request", (kind, answer)
        found: Request = answer["request"]
        return found

    def clone(self, name: str, request_id: str | None = None, **fields: Any) -> Request:
        """Have a clone made, as soon as the hosts have told what they know."""
        body = clone(name, request_id, **fields)

        def ready() -> Answer | None:
            kind, answer = self.ask("submit", **body)
            return None if answer.get("code") == NotReady.code else (kind, answer)

        kind, answer = eventually(ready)
        assert kind == "request", (kind, answer)
        found: Request = answer["request"]
        return found

    def clone_error(self, name: str, request_id: str | None = None, **fields: Any) -> str:
        return self.error("submit", **clone(name, request_id, **fields))


class Host(Peer):
    """A host: also listens to what is published for it."""

    def __init__(self, worker: Worker, name: str, pair: keys.KeyPair | None) -> None:
        super().__init__(worker, pair)
        self.name = name
        self._listener: sockets.Link | None = None
        self._heard: list[Answer] = []

    def listen(self, topic: str | None = None) -> None:
        """Subscribe to this host's topic, or to another one."""
        self._listener = sockets.connect_subscriber(
            self.worker.context, self.keys, self.worker.where, topic or self.name
        )

    @property
    def listener(self) -> zmq.Socket | None:
        return self._listener.socket if self._listener else None

    def deaf(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._heard = []

    def hear(self, timeout: float = LONG_PATIENCE) -> Answer | None:
        """Return the next that is published to this host of one request, or None."""
        assert self._listener is not None
        if self._heard:
            return self._heard.pop(0)
        if not self._listener.socket.poll(timeout * 1000):
            return None
        _other, *frames = self._listener.socket.recv_multipart()
        message = decode(frames)
        body = messages.published(message.type, message.body)
        self._heard = one_request.each(message.type, body)
        return self._heard.pop(0)

    def heard_request(self) -> Request:
        heard = self.hear()
        assert heard is not None and heard[0] == "request", heard
        found: Request = heard[1]["request"]
        return found

    def drained(self) -> list[Request]:
        """Return the requests that have been published so far, and were not heard yet."""
        found = []
        while heard := self.hear(0.5):
            found += [heard[1]["request"]] if heard[0] == "request" else []
        return found

    def hello(self, said: HostReport | None = None, **held: str) -> dict[str, Any]:
        """Say hello with the requests ``held`` (state by id); return the welcome."""
        entries = [{"id": request_id, "state": state} for request_id, state in held.items()]
        kind, body = self.ask("hello", host=self.name, report=said or report(), requests=entries)
        assert kind == "welcome", (kind, body)
        return body

    def tell(self, kind: str, request: Request, /, **body: Any) -> Answer:
        return self.ask(kind, host=self.name, id=request.id, **body)

    def done(self, request: Request) -> Answer:
        return self.tell("result", request, state="done", phases=[], vm=vm(request))


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1", **more}


def is_ready(host: HostStatus) -> bool:
    """Tell whether a host is alive and has made a report, which its first hello may not have."""
    return host.alive and "has just started" not in (host.report.problem or "")


def eventually(check: Any, timeout: float = LONG_PATIENCE) -> Any:
    """Return the first true value of ``check()``; fail when there is none in time."""
    end = time.monotonic() + timeout
    while not (value := check()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value
