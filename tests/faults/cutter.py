# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host worker on a wire of its own, the ways to cut that wire, and what is measured then."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from maglica.model.request import HostStatus, Request
from support.client_worker import Host, Worker, eventually, is_ready
from support.host_worker import HostWorker
from support.netns import Star, connections, gate

from . import without

FOUND_SECONDS = 7.0
RESUMED_SECONDS = 10.0
DOWN_SECONDS = 15.0
# How long is looked for what is not found; and how long a cut lasts at least.
PATIENCE = 9.0
GIVE_UP_SECONDS = 120.0
# The rules of the host's packet filter while the link is cut; none: another address instead.
CUTS: dict[str, tuple[str, ...]] = {
    "nothing passes": ("INPUT -i wire -j DROP", "OUTPUT -o wire -j DROP"),
    "the host's packets are lost": ("OUTPUT -o wire -j DROP",),
    "packets to the host are lost": ("INPUT -i wire -j DROP",),
    "connections are reset": (
        "INPUT -i wire -p tcp -j REJECT --reject-with tcp-reset",
        "OUTPUT -o wire -p tcp -j REJECT --reject-with tcp-reset",
    ),
    "only first packets pass": (
        "INPUT -i wire -p tcp ! --syn -j DROP",
        "OUTPUT -o wire -p tcp ! --syn -j DROP",
    ),
    "the host's address changes": (),
}


@dataclass
class Found:
    """What was measured; times in seconds, one a cycle. ``long``: cuts that a host goes down in."""

    found: list[float] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    long: int = 0
    requests: list[Request] = field(default_factory=list)


class WiredHost(HostWorker):
    """A host worker in a namespace of a star, with the intervals that the product sets."""

    # What it has to do without.
    protection = ""

    def __init__(self, folder: Path, worker: Worker, uri: str, star: Star, number: int) -> None:
        self.star = star
        self.number = number
        self.address = gate(number)
        self.host_part = 2
        super().__init__(folder, worker, uri, name=f"kvm{number}.example.jp", hello_interval=5)
        self.allow()

    def command(self) -> list[str]:
        worker = super().command()
        if self.protection:
            worker = without.command(self.protection, worker)
        return self.star.command(self.number, worker)

    def held(self) -> set[tuple[int, str, str]]:
        """Return the connections that either side takes for established."""
        found = set()
        assert self.process is not None and self.worker.process is not None
        for process in (self.process.pid, self.worker.process.pid):
            for port in self.worker.ports:
                found |= {(process, *ends) for ends in connections(process, self.number, port)}
        return found

    def cut(self, how: str) -> None:
        if CUTS[how]:
            self.star.filter(self.number, *CUTS[how])
        else:
            old, self.host_part = self.host_part, self.host_part + 1
            self.star.move(self.number, old, self.host_part)

    def heal(self) -> None:
        self.star.filter(self.number)


class Cutter:
    """Cuts the link of one host, again and again, and measures."""

    def __init__(self, host: WiredHost, admin: Host, say: Callable[[str], None]) -> None:
        self.host = host
        self.admin = admin
        self.say = say
        self.name = str(host.options["name"])
        self.measured = Found()
        self.late = ""
        self._numbers = itertools.count()

    def clone(self, name: str = "") -> Request:
        """Hand in a clone; what is not accepted can't be lost."""
        request = self.admin.clone(name or self.new_name(), host=self.name, memory_mib=16)
        self.measured.requests.append(request)
        return request

    def new_name(self) -> str:
        return f"vm{next(self._numbers)}.{self.name}"

    def offer(self) -> list[Request]:
        """Hand in a clone, which only a host that counts as down by now may refuse.

        On a slow machine the time between its last hello and here is as long as that takes.
        """
        try:
            return [self.clone()]
        except AssertionError:
            if self.alive():
                raise
            return []

    def insist(self) -> Request:
        """Hand in a clone as soon as the host does not count as down any more."""
        end = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return self.clone()
            except AssertionError as error:
                if time.monotonic() > end:
                    text = f"host {self.name} takes nothing {GIVE_UP_SECONDS:g} s after the cut"
                    raise AssertionError(f"{text}: {error}") from error
            time.sleep(0.1)

    def now(self, request: Request) -> Request:
        return self.admin.request("status", id=request.id)

    def status(self) -> HostStatus | None:
        statuses = self.admin.ask("hosts")[1]["hosts"]
        return next((each for each in statuses if each.host == self.name), None)

    def ready(self) -> bool:
        return (status := self.status()) is not None and is_ready(status)

    def alive(self) -> bool:
        return (status := self.status()) is not None and status.alive

    def cycle(self, how: str, seconds: float) -> None:
        """Cut the link for so many seconds at least, and wait until all is well again."""
        slow = self.new_name()
        self.host.block(slow, "copied")
        pending = [self.clone(slow)]
        eventually(lambda: self.now(pending[0]).phase == "copy", GIVE_UP_SECONDS)
        before = self.host.held()
        assert before, f"host {self.name} has no connection that could be cut"
        pending.append(self.clone())
        self.host.cut(how)
        start = time.monotonic()
        pending.append(self.clone())
        self.measured.found.append(self.find(before, start))
        self.host.unblock(slow, "copied")
        pending.extend(self.offer())
        if CUTS[how]:
            self.wait_cut(start, seconds)
            self.host.heal()
        # An address that has changed is there from the beginning.
        healed = time.monotonic() if CUTS[how] else start
        pending.append(self.insist())
        while pending and time.monotonic() < healed + GIVE_UP_SECONDS:
            pending = [request for request in pending if not self.now(request).state.ended]
            time.sleep(0.05)
        self.measured.resumed.append(time.monotonic() - healed)

    def find(self, before: set[tuple[int, str, str]], start: float) -> float:
        """Return how long it took both sides to give up what was cut."""
        while (passed := time.monotonic() - start) < PATIENCE:
            if not (left := before & self.host.held()):
                return passed
            if passed > FOUND_SECONDS:
                self.late = f"{passed:.1f} s, still held: {sorted(left)}"
            time.sleep(0.05)
        return passed

    def wait_cut(self, start: float, seconds: float) -> None:
        """Wait for the end of the cut; note when the host counts as down, if it does."""
        down = False
        self.measured.long += seconds > DOWN_SECONDS
        while (passed := time.monotonic() - start) < seconds:
            if not down and not self.alive():
                down = True
                self.measured.down.append(passed)
            time.sleep(0.1)

    def lost(self) -> int:
        """Count what was accepted and is not there."""
        made = set(self.host.made)
        return sum(request.name not in made for request in self.measured.requests)

    def twice(self) -> int:
        """Count what was made more often than it was undone, and once."""
        effects = self.host.effects
        return sum(
            effects.count(f"made {name}") > 1 + effects.count(f"undone {name}")
            for name in {request.name for request in self.measured.requests}
        )

    def run(self, cuts: list[tuple[str, float]]) -> None:
        for how, seconds in cuts:
            self.cycle(how, seconds)
            if self.late:
                self.say(f"{self.name}, {how}: {self.late}")
                self.late = ""
