# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main loop survives, without a client worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from maglica.config.config import ClientWorker, Config, HostWorker
from maglica.host_worker.daemon.client_worker_link import ClientWorkerLink
from maglica.host_worker.daemon.service import Service
from maglica.host_worker.journal.journal import Journal
from maglica.model.errors import MessageInvalid
from maglica.model.request import Request, State, new_request_id
from maglica.system.database import Database
from maglica.verbs.clone import CloneSpec

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
