# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy that adds latency and counts the calls of libvirt's remote protocol that pass it.

In a test: ``with proxied(port, delay=0.002) as proxy``. As a process of its own, for what is
measured: ``python -m support.latency SECONDS PORT…`` prints its ports, one a line, and ends with
its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

# remote_protocol.x: the program of all calls to a hypervisor's driver. A packet begins with its
# length, then program, version, procedure, type (0: a call), serial and status, 4 bytes each.
_REMOTE_PROGRAM = 0x20008086
_CALL = 0
# The procedures that tests look for, and that the bench tells of.
PROCEDURES = {
    1: "open",
    2: "close",
    14: "domain_xml",
    60: "supports_feature",
    66: "auth_list",
    283: "all_networks",
    341: "network_leases",
    344: "all_domain_stats",
    353: "domain_addresses",
}


class Proxy:
    """Passes connections on to a loopback port; each direction takes half of ``delay`` seconds."""

    def __init__(self, target: int, delay: float) -> None:
        self.target = target
        self.delay = delay
        self.port = 0
        # After so many calls, the proxy keeps each connection open and passes nothing on.
        self.stop_after: int | None = None
        # Calls that are never passed on: those of this procedure that have these bytes in them.
        self.lost: tuple[int, tuple[bytes, ...]] = (0, ())
        # What the other end says is changed: such bytes become others, as many.
        self.lies: dict[bytes, bytes] = {}
        self.connections = 0
        self.calls: Counter[int] = Counter()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> asyncio.Server:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def named(self) -> dict[str, int]:
        """Return the calls so far by name, those without one by number."""
        return {PROCEDURES.get(number, str(number)): n for number, n in self.calls.items()}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        counted = _Calls(self.calls)
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, counted), self._pass(far_reader, writer, None)
            )
        finally:
            self._writers -= ends

    def cut(self) -> None:
        """Cut all connections, and return when they are; for other threads than the proxy's."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (self.abort(), done.set()))
        done.wait()

    def abort(self) -> None:
        """Cut all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: _Calls | None
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if counted:
                    data = counted.feed(data, *self.lost)
                else:
                    for said, lie in self.lies.items():
                        data = data.replace(said, lie)
                if self.stop_after is not None and self.calls.total() > self.stop_after:
                    continue
                # Data that follows on closely is not held up by what is still on its way.
                loop.call_later(self.delay / 2, _write, writer, data)
        loop.call_later(self.delay / 2, writer.close)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


class _Calls:
    """Finds the calls in a stream of packets."""

    def __init__(self, calls: Counter[int]) -> None:
        self._calls = calls
        self._buffer = b""

    def feed(self, data: bytes, lost: int, bodies: Sequence[bytes]) -> bytes:
        """Count the calls that are complete now; return what to pass on."""
        self._buffer += data
        passed = b""
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < length or length < 28:
                break
            packet, self._buffer = self._buffer[:length], self._buffer[length:]
            words = [int.from_bytes(packet[at : at + 4], "big") for at in range(4, 20, 4)]
            if words[0] == _REMOTE_PROGRAM and words[3] == _CALL:
                self._calls[words[2]] += 1
                if words[2] == lost and any(body in packet for body in bodies):
                    continue
            passed += packet
        return passed


@contextlib.contextmanager
def proxied(target: int, delay: float = 0.0) -> Iterator[Proxy]:
    """Run a proxy in a thread for the length of the block."""
    loop = asyncio.new_event_loop()
    proxy = Proxy(target, delay)
    server = loop.run_until_complete(proxy.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(proxy, server))
        loop.close()


async def _end(proxy: Proxy, server: asyncio.Server) -> None:
    server.close()
    proxy.abort()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    # What was aborted is closed by the loop's next turn.
    await asyncio.sleep(max(proxy.delay, 0.01))


async def main(arguments: Sequence[str]) -> None:
    delay, *targets = arguments
    for target in targets:
        proxy = Proxy(int(target), float(delay))
        await proxy.start()
        print(proxy.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
