# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main loop survives, without a client worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from maglica.config.config import ClientWorker, Config, HostWorker
from maglica.host_worker.daemon.client_worker_link import ClientWorkerLink
from maglica.host_worker.daemon.outbox import Note
from maglica.host_worker.daemon.service import SHOWN_SECONDS, Service
from maglica.host_worker.journal.journal import Journal
from maglica.model.errors import MessageInvalid
from maglica.model.moment import Moment
from maglica.model.request import HostReport, Request, Spec, State, new_request_id
from maglica.model.vm import Domain
from maglica.system import version
from maglica.system.database import Database
from maglica.verbs.clone import CloneSpec
from maglica.verbs.prepare import PrepareSpec
from maglica.verbs.start import StartSpec
from maglica.wire import messages as schema
from maglica.wire.frames import VERSION, Message

SECRET = "$6$saltsalt$confidentialconfidential"


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    settings = HostWorker("kvm0.example.jp", state_dir=folder, secret_key_file=folder / "key")
    where = ClientWorker("127.0.0.1", insecure=True)
    service = Service(Config(folder / "conf", client_worker=where, host_worker=settings), None)
    try:
        yield service
    finally:
        service._work.close()
        service._peer.close()
        service._journal.close()


def everything(folder: Path) -> str:
    files = (path for path in folder.iterdir() if path.is_file())
    return "".join(path.read_bytes().decode("latin-1") for path in files)


def test_a_message_that_is_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_args: object) -> None:
        raise MessageInvalid("a hello message of 9 bytes, 8 allowed")

    monkeypatch.setattr(ClientWorkerLink, "send", refuse)
    with serving(tmp_path) as service:
        service._send(1.0)
        assert "cannot send hello: a hello message of 9 bytes" in caplog.text
        assert service._outbox.wake_at() == 1.0 + service._settings.hello_interval


def test_a_welcome_that_can_not_be_read_holds_up_no_result(tmp_path: Path) -> None:
    """As where another Python takes an address for one that this one refuses."""
    unreadable = b'{"requests": [{}], "cancel": []}'
    spec = StartSpec("vm0", "5e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11", "kvm0.example.jp")
    ended = Request(new_request_id(), spec, host="kvm0.example.jp")
    with serving(tmp_path) as service:
        service._journal.accept([ended])
        service._journal.end(ended.id, State.CANCELLED)
        service._work.resume()
        replies = [[VERSION, b"welcome", unreadable]]
        socket = SimpleNamespace(
            send_multipart=lambda *_said: None, recv_multipart=lambda *_how: replies.pop()
        )
        service._peer._requests.link = SimpleNamespace(socket=socket, close=lambda: None)
        service._send(10.0)
        assert service._note == Note("hello")
        answer = service._peer.reply(10.1)
        assert answer is not None and answer.body["code"] == "error"
        service._answered(answer, 10.1)
        assert service._peer.can_send()
        assert service._outbox.next(10.1) == Note("result", ended.id)


def test_a_result_that_can_not_be_read_any_more_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a disk has spoilt its row while the worker runs."""
    sent: list[Message] = []
    monkeypatch.setattr(ClientWorkerLink, "send", lambda _link, message, _now: sent.append(message))
    with serving(tmp_path) as service:
        spec = StartSpec("vm0", "5e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11", "kvm0.example.jp")
        spoilt, other = ended(service, spec), ended(service, spec)
        service._journal._db.change("UPDATE requests SET request = '{' WHERE id = ?", spoilt.id)
        service._outbox.settle(Note("hello"), None, 1.0)
        for each in (spoilt, other):
            service._outbox.result(each.id)
        for _turn in range(2):
            service._send(1.0)
        assert [message.body["id"] for message in sent] == [other.id]
        assert service._journal_problem is None
        assert f"request {spoilt.id} is unreadable" in caplog.text


def test_what_a_killed_process_has_left_of_a_secret_is_wiped_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Journal(tmp_path)
    try:
        spec = CloneSpec("vm0", "debian12.original", root_password=SECRET)
        request = Request(new_request_id(), spec, host="kvm0.example.jp")
        killed.accept([request])
        with monkeypatch.context() as dead:
            dead.setattr(Database, "wipe_log", lambda _self: None)
            killed.end(request.id, State.CANCELLED)
        assert SECRET in everything(tmp_path)
        with serving(tmp_path) as service:
            service._turn(0.0)
            assert SECRET not in everything(tmp_path)
    finally:
        killed.close()


def test_it_says_which_worker_it_is_once_the_client_worker_knows_of_that(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        hello = Note("hello")

        def said() -> dict[str, Any]:
            message = service._compose(hello)
            assert message is not None and message.type == "hello"
            return schema.asked("hello", message.body)

        def welcome(*named: str) -> None:
            service._note = hello
            body = {"requests": [], "cancel": [], "features": list(named)}
            service._answered(Message("welcome", body), 10.0)

        assert "worker" not in said()
        welcome("progress_counts")
        assert "worker" not in said()
        assert service._outbox.wake_at() == 10.0 + service._settings.hello_interval
        welcome("workers")
        first = said()["worker"]
        assert first.version == version.own()
        # At once, and the same as long as it lives.
        assert service._outbox.wake_at() < 12.0
        welcome("workers")
        assert said()["worker"] == first
        assert service._outbox.wake_at() == 10.0 + service._settings.hello_interval
    with serving(tmp_path) as other:
        assert other._worker.instance != first.instance


class Told:
    """What a client worker is told; the answers are all good."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service = service
        self.messages: list[Message] = []
        monkeypatch.setattr(service._peer, "send", lambda message, _now: self._take(message))

    def _take(self, message: Message) -> None:
        self.messages.append(message)

    def until(self, now: float) -> list[str]:
        """Send what is due; return the types of the messages."""
        self.messages.clear()
        for _turn in range(5):
            before = len(self.messages)
            self.service._send(now)
            if len(self.messages) > before:
                kind = "welcome" if self.messages[-1].type == "hello" else "ok"
                body = {"requests": (), "cancel": ()} if kind == "welcome" else {}
                self.service._answered(Message(kind, body), now)
        return [message.type for message in self.messages]


def ended(service: Service, spec: Spec, vm: Domain | None = None) -> Request:
    """Have a request done; return it."""
    request = Request(new_request_id(), spec, host="kvm0.example.jp")
    service._work.accept([request])
    service._journal.end(request.id, State.DONE, vm=vm)
    service._work._ended(request.id)
    return request


def test_the_result_of_what_it_does_not_show_itself_comes_after_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as service:
        told = Told(service, monkeypatch)
        assert told.until(1.0) == ["hello"]
        ended(service, PrepareSpec("debian13", "kvm0.example.jp"))
        assert told.until(1.1) == []
        # A report that was begun before that says nothing.
        service._reporter._publish(HostReport(cpus=1, taken=Moment(time.time() - 5)), ())
        service._outbox.go_on(1.2)
        assert told.until(1.2) == ["hello"]
        service._reporter._publish(HostReport(cpus=2, taken=Moment(time.time() + 1)), ())
        service._turn(0.0)
        assert [message.type for message in told.messages] == ["hello", "hello"]
        service._answered(Message("welcome", {"requests": (), "cancel": ()}), 1.3)
        assert told.until(time.monotonic() + 1.0)[-1] == "result"


def test_a_result_waits_for_a_report_but_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as service:
        told = Told(service, monkeypatch)
        assert told.until(1.0) == ["hello"]
        ended(service, PrepareSpec("debian13", "kvm0.example.jp"))
        assert told.until(1.1) == []
        assert told.until(1.1 + SHOWN_SECONDS) == ["result"]


def test_the_result_of_a_vm_shows_it_and_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as service:
        told = Told(service, monkeypatch)
        assert told.until(1.0) == ["hello"]
        uuid = new_request_id()
        vm = Domain("vm0", uuid, "kvm0.example.jp", "running", active=True)
        ended(service, StartSpec("vm0", uuid, "kvm0.example.jp"), vm)
        assert told.until(1.1) == ["result"]
        # Its definition is read again.
        assert uuid in service._reporter._changed
