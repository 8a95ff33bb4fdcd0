# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every socket is made here, with CURVE, limits and heartbeats; docs/protocol.md says which.

``keys=None`` means no CURVE, which is refused for anything but loopback.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from typing import Any

from .._deps import need
from ..config import values
from ..config.config import ClientWorker
from ..model.errors import AccessDenied, ConfigInvalid, PeerSilent
from .frames import MAX_FRAME, topic
from .keys import KeyPair

# A zmq.Socket or zmq.Context; the package may be missing, so it is no name at run time.
Socket = Any
Context = Any

PUBLISH_DOMAIN = "maglica.publish"
REQUEST_DOMAIN = "maglica.requests"
ZAP_ENDPOINT = "inproc://zeromq.zap.01"

# What CURVE adds to a frame (ZeroMQ's RFC 26: command name, nonce, authenticator, flags) is 33
# bytes, and libzmq's limit counts them.
CURVE_OVERHEAD = 64

# Milliseconds. A link that is cut without a word is found when the next heartbeat has had no answer
# for HEARTBEAT_TIMEOUT: after the sum of both at the latest.
HEARTBEAT_INTERVAL = 1000
HEARTBEAT_TIMEOUT = 4000
HANDSHAKE_TIMEOUT = 5000
# Seconds.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL = 3, 1
RECONNECT_FIRST = 100
RECONNECT_MAX = 2000
# A peer has one request under way at a time; what more it sends waits in its own memory. With room
# for one message only libzmq 4.3.5 leaves the first one lying, behind the peer's routing id.
REQUESTS_PER_PEER = 4
# Of a peer that does not read: what is answered after this is dropped.
ANSWERS_PER_PEER = 1
WAKE_UPS_PER_HOST = 1000
# What hosts send to the publish port are handshakes and topics: a host's name, and two bytes. Of a
# topic libzmq keeps some forty bytes for each of its bytes, also of one that is refused.
MAX_TOPIC = 2048
BACKLOG = 1024
_MONITORED = struct.Struct("=Hi")
# Values that come with a failed handshake: ZAP's status, and zmq.h's ZMQ_PROTOCOL_ERROR_ZMTP_….
_REFUSED = 400
_MECHANISM_MISMATCH = 0x11000002


def context() -> Context:
    """Return a new context; what is still unsent when a socket closes is dropped."""
    made = need("zmq").Context()
    made.linger = 0
    return made


def bind_zap(ctx: Context) -> Socket:
    """Return the REP socket at which libzmq asks who may connect (ZeroMQ's RFC 27).

    Bind it before the others: without it every handshake fails.
    """
    socket = _socket(ctx, need("zmq").REP)
    socket.bind(ZAP_ENDPOINT)
    return socket


def bind_requests(ctx: Context, keys: KeyPair | None, address: str, port: int) -> Socket:
    """Return the client worker's ROUTER for the requests of library and host workers.

    A reply to a peer that is gone, or does not read, is an error of ``send``: it is to be counted.
    Raises ConfigInvalid when the address can't be bound.
    """
    zmq = need("zmq")
    socket = _socket(ctx, zmq.ROUTER)
    socket.rcvhwm, socket.sndhwm = REQUESTS_PER_PEER, ANSWERS_PER_PEER
    socket.router_mandatory = True
    return _bind(socket, keys, REQUEST_DOMAIN, address, port)


def bind_publisher(ctx: Context, keys: KeyPair | None, address: str, port: int) -> Socket:
    """Return the client worker's XPUB, on which a subscription counts only once it is allowed.

    Raises ConfigInvalid when the address can't be bound.
    """
    zmq = need("zmq")
    socket = _socket(ctx, zmq.XPUB)
    socket.sndhwm = socket.rcvhwm = WAKE_UPS_PER_HOST
    socket.maxmsgsize = MAX_TOPIC
    socket.setsockopt(zmq.XPUB_MANUAL, 1)
    return _bind(socket, keys, PUBLISH_DOMAIN, address, port)


def watch_handshakes(ctx: Context, bound: Socket) -> Socket:
    """Return a PAIR that gets an event for each connection to ``bound`` that is no valid CURVE.

    For those libzmq asks nobody. Call ``disable_monitor`` of ``bound`` before closing the PAIR:
    libzmq would wait for ever with an event for nobody.
    """
    zmq = need("zmq")
    where = f"inproc://handshakes.{bound.underlying}"
    bound.monitor(where, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    watch = _socket(ctx, zmq.PAIR)
    # Nor may it wait while strangers connect faster than events are read.
    watch.rcvhwm = 0
    watch.connect(where)
    return watch


def connect_requests(ctx: Context, keys: KeyPair | None, peer: ClientWorker) -> Link:
    """Return a link with a REQ, which connects in the background, and again when it is cut off.

    After a timeout close it and make a new one: a REQ without its reply can't send again.
    """
    return _connect(_socket(ctx, need("zmq").REQ), keys, peer, peer.request_port)


def connect_subscriber(ctx: Context, keys: KeyPair | None, peer: ClientWorker, host: str) -> Link:
    """Return a link with a SUB, which asks for what is published to ``host``."""
    zmq = need("zmq")
    socket = _socket(ctx, zmq.SUB)
    socket.rcvhwm = WAKE_UPS_PER_HOST
    socket.setsockopt(zmq.SUBSCRIBE, topic(host))
    return _connect(socket, keys, peer, peer.publish_port)


def expected(peer: ClientWorker) -> list[ClientWorker]:
    """Return the client worker as each of the keys that it may have says that it is.

    Which of them it has a connection tells: another one ends in the handshake.
    """
    known = (peer.public_key or "").split()
    return [replace(peer, public_key=each) for each in known] or [peer]


class Link:
    """A connecting socket and what its monitor tells of the connection.

    Poll ``socket`` and ``monitor``; call ``check`` when the monitor has something. After an error
    of ``check`` libzmq never tries again: close the link and make another one later.
    """

    def __init__(self, socket: Socket, where: str, public: str) -> None:
        zmq = need("zmq")
        self.socket = socket
        self.endpoint = where
        self.connected = False
        self.lost = False
        self.trouble = ""
        self.failed = False
        self._public = public
        self._again = False
        # The monitor first, so that no event is missed.
        self.monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_CONNECT_RETRIED
        )
        socket.connect(where)

    def check(self) -> None:
        """Take in what the monitor has to say; return at once.

        Afterwards ``connected`` tells whether the peer has let this side in, ``lost`` whether a
        connection has ended since the link was made: a reply that was owed by then never comes.
        ``failed`` tells whether one could not be made, ``trouble`` why there was none the last
        time, as far as it is known.
        Raises AccessDenied when the peer refuses this side's key, or has no CURVE where this side
        has, or the other way round; PeerSilent when what answers is no peer at all.
        """
        zmq = need("zmq")
        while self.monitor.poll(0):
            # zmq_socket_monitor(3): the event's number and its value, then the endpoint. pyzmq's
            # own reader of this loads asyncio, which takes longer than all else here.
            event, value = _MONITORED.unpack(self.monitor.recv_multipart()[0])
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected = True
                self.trouble = ""
            elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._again = True
                # A peer with another key breaks off just like one that ends, or a forwarder before
                # it that finds nobody; one that is stopped lets the handshake's time pass.
                self.trouble = (
                    f"connections to {self.endpoint} end before the handshake is over: the client"
                    " worker is stopped or about to start, or it does not have the public_key that"
                    " is in the configuration"
                )
            elif event == zmq.EVENT_DISCONNECTED:
                self._disconnected()
            elif event == zmq.EVENT_CONNECT_RETRIED:
                self.failed = True
            else:
                raise self._refusal(event, value)

    def _disconnected(self) -> None:
        if not self.connected and not self._again:
            # Neither let in nor broken off during the handshake: libzmq does not connect again.
            raise self._no_peer()
        self.lost = self.lost or self.connected
        self.connected = self._again = False

    def _refusal(self, event: int, value: int) -> AccessDenied | PeerSilent:
        zmq = need("zmq")
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and value == _REFUSED:
            return AccessDenied(
                f"the client worker at {self.endpoint} refuses the public key {self._public}:"
                " is it in its access file?"
            )
        if value == _MECHANISM_MISMATCH:
            return AccessDenied(
                f"what answers at {self.endpoint} differs in its security:"
                " is insecure set on one side only?"
            )
        return self._no_peer()

    def _no_peer(self) -> PeerSilent:
        self.trouble = f"what answers at {self.endpoint} does not speak as a client worker does"
        return PeerSilent(self.trouble)

    @property
    def was_let_in(self) -> bool:
        return self.connected or self.lost

    def close(self) -> None:
        """Close at once; what is unsent is dropped."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)


def endpoint(address: str, port: int) -> str:
    """Return ZeroMQ's name of a TCP address."""
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


def _socket(ctx: Context, kind: int) -> Socket:
    socket = ctx.socket(kind)
    socket.linger = 0
    # Of one frame; message.decode limits their number and their sum.
    socket.maxmsgsize = MAX_FRAME + CURVE_OVERHEAD
    socket.heartbeat_ivl = HEARTBEAT_INTERVAL
    socket.heartbeat_timeout = HEARTBEAT_TIMEOUT
    socket.heartbeat_ttl = HEARTBEAT_TIMEOUT
    # When only what this side sends is lost, what it hears may go on to look like an answer.
    socket.tcp_maxrt = HEARTBEAT_TIMEOUT
    socket.handshake_ivl = HANDSHAKE_TIMEOUT
    socket.reconnect_ivl = RECONNECT_FIRST
    socket.reconnect_ivl_max = RECONNECT_MAX
    return socket


def _connect(socket: Socket, keys: KeyPair | None, peer: ClientWorker, port: int) -> Link:
    where = endpoint(peer.address, port)
    try:
        if keys is None:
            _refuse_plain(peer.address)
        elif peer.public_key is None:
            raise ConfigInvalid("[client_worker] public_key is missing")
        else:
            socket.curve_secretkey = keys.secret
            socket.curve_publickey = keys.public
            socket.curve_serverkey = peer.public_key.encode("ascii")
        socket.ipv6 = ":" in peer.address
        return Link(socket, where, keys.public.decode("ascii") if keys else "")
    except Exception:
        # An open socket would keep the context from ever ending.
        socket.close(0)
        raise


def _bind(socket: Socket, keys: KeyPair | None, domain: str, address: str, port: int) -> Socket:
    zmq = need("zmq")
    # A heartbeat of libzmq's that is due on a connection which is lost, but of which not all was
    # read yet, ends the process (an assertion). Links that are cut are found by the peers'
    # heartbeats, which say how long they hold, and by TCP's own.
    socket.heartbeat_ivl = 0
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle, socket.tcp_keepalive_intvl = KEEPALIVE_IDLE, KEEPALIVE_INTERVAL
    try:
        if keys is None:
            _refuse_plain(address)
        else:
            socket.curve_server = True
            socket.curve_secretkey = keys.secret
            socket.curve_publickey = keys.public
            # A server without a domain that is enforced lets strangers in when nobody answers ZAP.
            socket.zap_domain = domain.encode("ascii")
            socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.backlog = BACKLOG
        socket.ipv6 = ":" in address
        socket.bind(endpoint(address, port))
    except zmq.ZMQError as error:
        socket.close(0)
        raise ConfigInvalid(
            f"cannot bind {endpoint(address, port)}: {os.strerror(error.errno)}"
        ) from error
    except ConfigInvalid:
        socket.close(0)
        raise
    return socket


def _refuse_plain(address: str) -> None:
    if not values.is_loopback(address):
        raise ConfigInvalid(f"refusing to use {address} without CURVE: it is no loopback address")
