# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever is at work while the own key is replaced."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from maglica.config import config
from maglica.model.errors import AccessDenied
from maglica.model.request import State
from maglica.wire import keys
from maglica.wire.client import Client
from support.client_worker import LONG_PATIENCE, Host, Peer, Worker, eventually


def test_who_waits_goes_on_with_the_new_key(worker: Worker, client: Peer, kvm0: Host) -> None:
    path = worker.library("alice")
    request = client.clone("vm0.example.jp")
    old = Peer(worker, keys.read(worker.folder / "library.key"))
    assert old.keys is not None and old.ask("hosts")[0] == "hosts"
    with ThreadPoolExecutor() as pool, Client(config.load(path)) as alice:
        waits = pool.submit(alice.wait_all, [request.id], 30)
        # It waits, with the old key.
        time.sleep(0.5)
        new = worker.grant("client", "alice")
        (worker.folder / "library.key").write_bytes(new.secret)
        worker.revoke(old.keys)
        eventually(lambda: old.ask("hosts")[1].get("code") == "access_denied")
        kvm0.tell("result", request, state="cancelled")
        assert waits.result(LONG_PATIENCE)[request.id].state is State.CANCELLED
        # Without another one it is told so.
        worker.revoke(new)
        with pytest.raises(AccessDenied):
            alice.list()
