# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which workers the hosts have, and whether two machines speak with one host's key.

A process that has ended never speaks again: one that is started anew, however often, comes after
the last one. So where one is heard, then another, and then the first one again, both are there.
Neither times of day nor addresses count: a host may get new ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...model.worker import Worker
from ...system.log_fields import about

logger = logging.getLogger(__name__)

# Of a host as many processes are remembered: of two machines the one, while the worker of the other
# is started again and again.
KEPT = 16


@dataclass
class _Host:
    """Who has spoken as a host: the ``addresses`` of its processes, the last one heard last.

    ``back_at`` is when one was last heard after another, ``two`` are these. ``features`` are those
    that the last one has named, None: it has not been heard yet.
    """

    worker: Worker | None = None
    features: frozenset[str] | None = None
    addresses: dict[str, str] = field(default_factory=dict)
    two: tuple[str, ...] = ()
    back_at: float = 0.0
    conflict: str | None = None

    def hear(self, worker: Worker, address: str, now: float) -> None:
        last = next(reversed(self.addresses), worker.instance)
        if worker.instance in self.addresses and worker.instance != last:
            self.two, self.back_at = (last, worker.instance), now
        self.addresses.pop(worker.instance, None)
        self.addresses[worker.instance] = address
        if len(self.addresses) > KEPT:
            del self.addresses[next(iter(self.addresses))]

    def where(self) -> str:
        known = sorted({self.addresses.get(instance, "") for instance in self.two} - {""})
        if len(known) == 1:
            return f"two processes at {known[0]}"
        return " and ".join(known) or "two machines"


class Workers:
    """The workers of all hosts. Two are at odds until ``timeout`` seconds after one was last heard
    after the other. Times are monotonic.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._hosts: dict[str, _Host] = {}

    def meet(self, name: str, worker: Worker | None, address: str, now: float) -> bool:
        """Take in which worker has spoken as a host, from which address ("": that is not known).

        None: it is one that can't say so. Returns whether ``conflict`` has changed.
        """
        host = self._hosts.setdefault(name, _Host())
        before, host.worker = host.worker, worker
        if worker is None:
            return False
        if before is None or before.version != worker.version:
            with about(host=name):
                logger.info("host %s has version %s", name, worker.version)
        host.hear(worker, address, now)
        return self._judge(name, now)

    def learn(self, name: str, features: frozenset[str]) -> None:
        """Take in the features that a host knows."""
        self._hosts.setdefault(name, _Host()).features = features

    def features(self, name: str) -> frozenset[str] | None:
        """Return the features that a host knows, None as long as it has not been heard."""
        host = self._hosts.get(name)
        return host.features if host else None

    def version(self, name: str) -> str | None:
        host = self._hosts.get(name)
        return host.worker.version if host and host.worker else None

    def conflict(self, name: str) -> str | None:
        """Return what stands against all that is said as this host, and to it: two have its key."""
        host = self._hosts.get(name)
        return host.conflict if host else None

    def conflicts(self) -> list[str]:
        """Return what ``conflict`` does of all hosts."""
        return [host.conflict for _name, host in sorted(self._hosts.items()) if host.conflict]

    def sweep(self, now: float) -> Iterator[str]:
        """Yield the hosts that have become one again."""
        for name, host in self._hosts.items():
            if host.conflict is not None and self._judge(name, now):
                yield name

    def forget(self, name: str) -> None:
        self._hosts.pop(name, None)

    def _judge(self, name: str, now: float) -> bool:
        host = self._hosts[name]
        before, host.conflict = host.conflict, None
        if host.two and now - host.back_at <= self._timeout:
            host.conflict = (
                f"{host.where()} speak with the key of host {name}, and nothing is asked of either:"
                f" on the one that is not {name} remove host_worker.key and host_worker.pub, and"
                " run maglica.cloud.deploy for it under a name of its own"
            )
            if host.conflict != before:
                with about(host=name):
                    logger.error("%s", host.conflict)
        elif before is not None:
            with about(host=name):
                logger.warning("host %s is one machine again", name)
        return host.conflict != before
