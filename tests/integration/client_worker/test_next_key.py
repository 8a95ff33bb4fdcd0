# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client worker that gets a new key, and peers that know both."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from maglica.config import config
from maglica.host_worker.daemon.client_worker_link import ClientWorkerLink
from maglica.model.errors import PeerSilent
from maglica.model.plain import plain
from maglica.wire import keys
from maglica.wire.client import Client
from maglica.wire.frames import Message
from support.client_worker import Worker, eventually
from support.reports import report


def said_hello(link: ClientWorkerLink) -> bool:
    """Have the link say hello; tell whether it was answered."""
    now = time.monotonic()
    link.tick(now)
    if link.can_send():
        body = {"host": "kvm0.example.jp", "report": plain(report()), "requests": []}
        link.send(Message("hello", body), now)
    reply = link.reply(now)
    return reply is not None and reply.type == "welcome"


def test_peers_that_know_both_keys_go_over_with_the_client_worker(worker: Worker) -> None:
    path = worker.library("alice")
    old_only = config.load(path)
    following = keys.make(worker.folder / "client_worker.next.key")
    both = f"{worker.keys.public.decode()} {following.public.decode()}"
    path.write_text(path.read_text().replace(worker.keys.public.decode(), both))
    asked = config.load(path)
    pair = worker.grant("host", "kvm0.example.jp")
    link = ClientWorkerLink(pair, replace(worker.where, public_key=both), "kvm0.example.jp")
    try:
        eventually(lambda: said_hello(link))
        with Client(asked) as client:
            assert [host.host for host in client.hosts()] == ["kvm0.example.jp"]
            worker.stop()
            keys.switch(worker.folder / "client_worker.key")
            worker.start()
            # A client that lives on, and its next one, which tries the old one first.
            assert client.hosts()
        with Client(asked) as client:
            assert client.hosts()
        eventually(lambda: said_hello(link))

        # What is published reaches it again, too.
        def hears() -> bool:
            said_hello(link)
            return any(message.type == "requests" for message in link.published())

        worker.where = replace(worker.where, public_key=following.public.decode())
        worker.peer("client", "bob").clone("vm0.example.jp")
        eventually(hears)
    finally:
        link.close()
    # Who knows the old one alone is led to no other.
    with Client(old_only, reply_timeout=1.0, attempts=2) as client, pytest.raises(PeerSilent):
        client.hosts()
