# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What peers do to a bound socket, in a process of its own: libzmq may end it."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time

from maglica.wire import sockets
from support import zmtp
from support.client_worker import environment
from support.ports import LOOPBACK, free_port

SERVER = """
import sys
from maglica.wire import sockets
context = sockets.context()
router = sockets.bind_requests(context, None, sys.argv[1], int(sys.argv[2]))
print("bound", flush=True)
sys.stdin.read()
context.destroy(0)
"""


def test_a_peer_that_breaks_off_amid_what_nobody_has_read_ends_itself_only() -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, LOOPBACK, str(port)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"bound\n"
        for _turn in range(3):
            _break_off(port)
        # A heartbeat would be due by then.
        time.sleep(1.5 * sockets.HEARTBEAT_INTERVAL / 1000)
        server.communicate()
    assert server.returncode == 0


def _break_off(port: int) -> None:
    ready = zmtp.command(b"READY", zmtp.metadata("DEALER"))
    with socket.create_connection((LOOPBACK, port)) as peer:
        peer.sendall(zmtp.greeting("NULL") + ready)
        read = b""
        while b"READY" not in read:
            read += peer.recv(1000)
        # More than the socket takes before somebody reads.
        peer.sendall(100 * zmtp.frames([b"", b"x" * 200]))
        time.sleep(0.1)
        # Closed like this, TCP says that the connection is reset.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
