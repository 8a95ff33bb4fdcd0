# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts may ask to hear."""

from __future__ import annotations

import pytest
import zmq
from maglica.client_worker.broker import MAX_REFUSED_TOPICS
from maglica.model.errors import AccessDenied
from maglica.wire import sockets
from support.client_worker import Host, Peer, Worker, eventually


def test_a_topic_that_is_longer_than_any_host_s_ends_its_connection(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    """libzmq keeps some forty bytes for each byte of a topic, also of one that is refused."""
    link = sockets.connect_subscriber(worker.context, kvm0.keys, worker.where, kvm0.name)
    try:
        link.socket.setsockopt(zmq.SUBSCRIBE, bytes(5000))
        eventually(lambda: link.check() or link.lost)
    finally:
        link.close()
    assert client.ask("hosts")[0] == "hosts"
    assert "refused a subscription" not in worker.log
    request = client.clone("vm0")
    assert kvm0.heard_request().id == request.id


def test_who_asks_for_topic_after_topic_is_cut_off_and_stays_out(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    eve = worker.host("eve")
    for _time in range(2):
        link = sockets.connect_subscriber(worker.context, eve.keys, worker.where, "eve")
        try:
            for number in range(MAX_REFUSED_TOPICS):
                link.socket.setsockopt(zmq.SUBSCRIBE, b"%d" % number)
            with pytest.raises(AccessDenied):
                eventually(link.check)
        finally:
            link.close()
    # Its other port stays open, and others hear what is theirs.
    assert eve.ask("hello", host="eve", report={}, requests=[])[0] == "welcome"
    request = client.clone("vm0", host=kvm0.name)
    assert kvm0.heard_request().id == request.id
    assert worker.log.count("host eve is cut off for 60 s") == 1
