# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts may ask to hear."""

from __future__ import annotations

import zmq
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
