# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does one case after the other on one host of the cloud, and counts what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType

from maglica.config import config
from maglica.model.errors import RequestTimeout
from maglica.model.request import CloneMode, Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs.clone import CloneSpec
from maglica.verbs.remove import RemoveSpec
from maglica.wire.client import Client
from support.cloud import IMAGE, STATE
from support.points import FOLDER, Site

from .cloud_cases import WHOLE, Case, Step
from .frame import Run

# A clone, killed, and begun anew, on a machine whose cores are all busy.
PATIENCE = 420
# With its worker, a plain clone goes on much sooner after a kill.
UNTENDED_SECONDS = 20
# The hash of nobody's password. A new one is written by an appliance only.
PASSWORD = "$6$maglicafaults$" + "x" * 86


OPEN = [state for state in State if not state.ended]


@dataclass
class Count:
    """What all hosts together did and left; the lists have what is wrong."""

    requests: int = 0
    kills: int = 0
    not_done: list[str] = field(default_factory=list)
    not_cancelled: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class Worker:
    """Works through cases on one host, with a client of its own."""

    def __init__(self, site: Site, count: Count, run: Run) -> None:
        self._site = site
        self._count = count
        self._run = run
        self._client = Client(config.load(str(STATE / "maglica.conf")))
        self._number = 0
        self._label = site.host.partition(".")[0]
        seen = site.look()
        self._domains = seen.domains
        self._files = {name for name in seen.files if not name.startswith("maglica-base.")}

    def __enter__(self) -> Worker:
        self._client.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what an area that broke has left."""
        self._site.go_on()
        if kind is not None:
            for request in self._client.list(OPEN):
                if request.host == self._site.host and request.kind == "clone":
                    self._client.cancel(request.id)
                    self._client.wait(request.id, PATIENCE)
            for name in self._site.look().domains - self._domains:
                uuid = self._site.shell(f"virsh domuuid {name}")
                spec = RemoveSpec(name, uuid, self._site.host)
                self._client.wait(self._client.submit(spec).id, PATIENCE)
        self._client.__exit__(kind, error, trace)

    # --- cases

    def probe(self) -> tuple[list[str], list[str]]:
        """Clone, with a new base, and remove; return the points that each passes, once each."""
        self._site.new_version(IMAGE)
        self._site.passed()
        request = self._submit(WHOLE)
        self._end(request, State.DONE)
        made = self._site.passed()
        self._remove(request, ())
        removed = self._site.passed()
        return list(dict.fromkeys(made)), list(dict.fromkeys(removed))

    def do(self, case: Case) -> None:
        """Do a case and count what it leaves."""
        begun = time.monotonic()
        if case.is_new:
            self._site.new_version(IMAGE)
        self._arm([*case.steps, *([("", case.cancel)] if case.cancel else [])])
        request = self._submit(case)
        self._kill_along(request, case.steps, case.cancel)
        if case.cancel:
            self._cancel(request, case)
        else:
            self._end(request, State.DONE)
            self._remove(request, case.removal)
        self._look(request)
        text = ", ".join(f"{victim} at {point}" for victim, point in (*case.steps, *case.removal))
        cancelled = f"cancelled at {case.cancel}; " if case.cancel else ""
        seconds = time.monotonic() - begun
        self._run.say(f"{self._label}: {cancelled}{text} ({seconds:.0f} s)")

    def with_full(self, place: str) -> None:
        """Clone while a folder of the host has no room; that must do, or fail for that reason."""
        fill = f"cat /dev/zero > {place}/filling 2>/dev/null"
        try:
            self._site.shell(
                f"mount -t tmpfs -o size=4k,mode=1777 tmpfs {place} && {{ {fill}; true; }}"
            )
            request = self._submit(Case())
            ended = self._client.wait(request.id, PATIENCE)
        finally:
            self._site.shell(f"! mountpoint -q {place} || umount --lazy {place}")
        if ended.state is State.DONE:
            self._remove(request, ())
        elif ended.failure is None or "No space left" not in ended.failure.text:
            self._wrong(self._count.unclear, [f"{place}: {ended.failure}"])
        self._look(request)
        self._run.say(f"{self._label}: {place} full: {ended.state.value} {ended.failure or ''}")

    def without_undo(self, *points: str) -> tuple[int, int]:
        """Cancel at each point with undoing switched off; return orphan volumes and domains."""
        volumes = domains = 0
        self._site.shell(f"touch {FOLDER}/without-undo")
        try:
            for point in points:
                request = self._held_at(point)
                self._client.cancel(request.id)
                self._end(request, State.CANCELLED)
                seen = self._site.look()
                mine = {name for name in seen.files if name.startswith(f"{request.name}.")}
                volumes += len(mine)
                if request.name in seen.domains:
                    domains += 1
                    self._site.shell(f"virsh undefine {request.name}")
                self._site.shell(f"cd /var/lib/libvirt/images && rm -f {' '.join(mine)}")
        finally:
            self._site.shell(f"rm -f {FOLDER}/without-undo; virsh pool-refresh default")
        return volumes, domains

    def without_cancel(self) -> int:
        """Cancel on a host that does not heed it; return how many requests ended otherwise."""
        self._site.shell(f"touch {FOLDER}/without-cancel")
        try:
            request = self._held_at("customize/begin")
            self._client.cancel(request.id)
            self._site.go_on()
            ended = self._client.wait(request.id, PATIENCE)
        finally:
            self._site.shell(f"rm -f {FOLDER}/without-cancel")
        if ended.state is State.DONE:
            self._remove(request, ())
        return int(ended.state is not State.CANCELLED)

    def untended(self) -> tuple[int, int]:
        """Kill a host's worker for good; return how many requests don't end, and what is left."""
        request = self._held_at("customize/begin")
        try:
            self._site.end_worker()
            time.sleep(UNTENDED_SECONDS)
            not_ended = not self._client.status(request.id).state.ended
            left = self._site.look().leftovers
        finally:
            self._site.go_on()
            self._site.start_worker()
        self._end(request, State.DONE)
        self._remove(request, ())
        return int(not_ended), len(left)

    def _held_at(self, point: str) -> Request:
        """Hand in a plain clone; return it when it waits at a point."""
        self._arm([("", point)])
        request = self._submit(Case(is_plain=True))
        self._reach(request, point)
        return request

    def _submit(self, case: Case) -> Request:
        self._number += 1
        spec = CloneSpec(
            f"kill{self._number}-{self._label}.example.jp",
            IMAGE,
            host=self._site.host,
            clone_mode=CloneMode.FULL if case.is_full else CloneMode.LINKED,
            root_password=None if case.is_plain else PASSWORD,
        )
        with self._count.lock:
            self._count.requests += 1
        # A host whose libvirtd was killed a moment ago takes nothing new until it answers again.
        self._site.cloud.wait_alive(self._site.host, alive=True, is_sound=True)
        return self._client.submit(spec)

    def _remove(self, made: Request, steps: tuple[Step, ...]) -> None:
        self._arm(steps)
        spec = RemoveSpec(made.name, vm_uuid(made.id), self._site.host)
        with self._count.lock:
            self._count.requests += 1
        request = self._client.submit(spec)
        self._kill_along(request, steps)
        self._end(request, State.DONE)

    def _cancel(self, request: Request, case: Case) -> None:
        point = case.cancel or ""
        self._reach(request, point)
        # Whoever is there stays there: the cancel may take long, and must not find the clone done.
        self._site.stop_at(point, *(then for _victim, then in case.removal[:1]))
        self._client.cancel(request.id)
        self._kill_along(request, case.removal)
        self._end(request, State.CANCELLED)
        self._site.go_on()

    # --- kills

    def _arm(self, steps: tuple[Step, ...] | list[Step]) -> None:
        if steps:
            self._site.stop_at(steps[0][1])

    def _kill_along(
        self, request: Request, steps: tuple[Step, ...], then: str | None = None
    ) -> None:
        """Kill at each point in turn; the next one is armed before the victim is back."""
        following = [point for _victim, point in steps[1:]] + ([then] if then else [])
        for number, (victim, point) in enumerate(steps):
            self._reach(request, point)
            self._site.kill(victim, following[number] if number < len(following) else None)
            with self._count.lock:
                self._count.kills += 1

    def _reach(self, request: Request, point: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._site.is_reached():
            now = self._client.status(request.id)
            if now.state.ended or time.monotonic() > deadline:
                raise AssertionError(f"{request.name} never came to {point}: {now}")

    def _end(self, request: Request, state: State) -> None:
        wrong = self._count.not_done if state is State.DONE else self._count.not_cancelled
        try:
            ended = self._client.wait(request.id, PATIENCE)
        except RequestTimeout as error:
            self._wrong(wrong, [f"{request.name}: {error}"])
        else:
            if ended.state is not state:
                self._wrong(wrong, [f"{request.name}: {ended.state.value}, {ended.failure}"])

    def _look(self, request: Request) -> None:
        seen = self._site.settled()
        files = {name for name in seen.files if not name.startswith("maglica-base.")}
        bases = seen.files - files
        self._wrong(self._count.domains, seen.domains - self._domains)
        # A base can be the file that an image keeps, which was there before.
        orphans = (files - self._files) | (bases - seen.bases) | (seen.bases - seen.files)
        self._wrong(self._count.volumes, orphans)
        self._wrong(self._count.leftovers, seen.leftovers)
        gone = (self._domains - seen.domains) | (self._files - files)
        if gone:
            raise AssertionError(f"{request.name}: somebody else's things are gone: {gone}")

    def _wrong(self, found: list[str], what: object) -> None:
        for text in what:
            self._run.say(f"{self._label}: WRONG: {text}")
            with self._count.lock:
                found.append(text)
