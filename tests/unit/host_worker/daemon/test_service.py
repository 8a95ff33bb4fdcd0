# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main loop survives, without a client worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.config.config import ClientWorker, Config, HostWorker
from maglica.host_worker.daemon.client_worker_link import ClientWorkerLink
from maglica.host_worker.daemon.service import Service
from maglica.model.errors import MessageInvalid


def test_a_message_that_is_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_args: object) -> None:
        raise MessageInvalid("a hello message of 9 bytes, 8 allowed")

    monkeypatch.setattr(ClientWorkerLink, "send", refuse)
    settings = HostWorker("kvm0.example.jp", state_dir=tmp_path, secret_key_file=tmp_path / "key")
    where = ClientWorker("127.0.0.1", insecure=True)
    service = Service(Config(tmp_path / "conf", client_worker=where, host_worker=settings), None)
    try:
        service._send(1.0)
        assert "cannot send hello: a hello message of 9 bytes" in caplog.text
        assert service._outbox.wake_at() == 1.0 + settings.hello_interval
    finally:
        service._work.close()
        service._peer.close()
        service._journal.close()
