# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether something answers at the addresses of vms, asked from this machine by TCP."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import replace

from ..model.reported import AddressSource
from ..model.vm import Domain
from .snapshot import Place, place

SSH_PORT = 22
# What a server of SSH says: RFC 4253, section 4.2. It may say other lines before, but not without
# end, in bytes, of which so many are taken at once.
_BANNER = b"SSH-"
_BEFORE = 8192
_PIECE = 1024
# Who refuses is there.
_THERE = (0, errno.ECONNREFUSED)
# So many addresses are asked at once; each is a file that is open meanwhile.
_AT_ONCE = 200


# The sources of addresses that somebody uses.
MET = (AddressSource.LEASE, AddressSource.ARP)
# How long an address may take to answer, in seconds.
_PATIENCE = 1.0


class Rounds:
    """Who is met, asked round by round in one wait; with ``ssh``, a server of SSH has to speak."""

    def __init__(self, ssh: bool) -> None:
        self._ssh = ssh
        self._last = ""

    def met(
        self,
        found: Iterable[Domain],
        recorded: Callable[[Container[Place]], Iterable[Domain]],
    ) -> list[Domain]:
        """Return the domains, each with an address only if that is met: one of the sources MET,
        which ``found`` has, or one that answers.

        ``recorded`` returns those at some places with the addresses that were recorded for them:
        these are known before anything is there.
        """
        known = {place(domain): domain for domain in found}
        unmet = {where for where, domain in known.items() if domain.active and not domain.address}
        if unmet:
            known.update((place(domain), domain) for domain in recorded(unmet))
        asked = {
            where: domain.address
            for where, domain in known.items()
            if domain.address and (self._ssh or where in unmet)
        }
        there = answering(self._turn(set(asked.values())), _PATIENCE, ssh=self._ssh)
        gone = {where for where, address in asked.items() if address not in there}
        return [
            replace(domain, address=None) if where in gone else domain
            for where, domain in known.items()
        ]

    def _turn(self, addresses: set[str]) -> set[str]:
        """Return those that are asked now: so many, from behind the last of the round before."""
        ordered = sorted(addresses)
        begin = bisect_right(ordered, self._last)
        turn = (ordered[begin:] + ordered[:begin])[:_AT_ONCE]
        self._last = turn[-1] if turn else ""
        return set(turn)


def answering(
    addresses: Collection[str], seconds: float, *, ssh: bool = False, port: int = SSH_PORT
) -> set[str]:
    """Return those of the addresses at which the port is open or refused; with ``ssh``, those at
    which a server of SSH speaks. Takes at most so many seconds, and an open file for each address.
    """
    ends = time.monotonic() + seconds
    found: set[str] = set()
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            connection.setblocking(False)
            begun = connection.connect_ex((address, port))
            if begun in (0, errno.EINPROGRESS):
                selector.register(
                    connection, selectors.EVENT_WRITE, (address, connection, bytearray())
                )
            elif begun in _THERE and not ssh:
                found.add(address)
        while selector.get_map() and (left := ends - time.monotonic()) > 0:
            for key, event in selector.select(left):
                address, connection, said = key.data
                error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if ssh and event & selectors.EVENT_WRITE and not error:
                    # Connected: now it has to say something.
                    selector.modify(connection, selectors.EVENT_READ, key.data)
                    continue
                is_there = _speaks(connection, said) if ssh else error in _THERE
                if is_there is None:
                    continue
                if is_there:
                    found.add(address)
                selector.unregister(connection)
    return found


def _speaks(connection: socket.socket, said: bytearray) -> bool | None:
    """Add what has come to what a server has ``said``, and return whether it is one of SSH; None
    while that may still be seen.
    """
    try:
        piece = connection.recv(_PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return False
    said += piece
    if said.startswith(_BANNER) or b"\n" + _BANNER in said:
        return True
    return None if piece and len(said) < _BEFORE else False
