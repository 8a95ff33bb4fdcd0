# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that keeps 200 requests open, and counts what of them is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType

from maglica.model.errors import PeerSilent
from maglica.model.request import Customize, Request, Spec, State, new_request_id
from maglica.model.vm import Domain, vm_uuid
from maglica.verbs.clone import CloneSpec
from maglica.verbs.release import ReleaseSpec
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.tag import TagSpec
from maglica.wire.client import Client
from support.cloud import IMAGE, Cloud

IN_FLIGHT = 200
PATIENCE = 1800


class Load:
    """Keeps a request about each of 200 vms open: its clone, then one tag after the other.

    ``accepted`` has all that the client worker has taken, by id. ``client`` can be replaced once
    the load is over.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._last: dict[str, Request] = {}
        self.accepted: dict[str, Request] = {}
        self.least_open = IN_FLIGHT
        self.vms: dict[str, Domain] = {}

    def __enter__(self) -> Load:
        names = [f"upgrade{number:03d}.example.jp" for number in range(IN_FLIGHT)]
        how = {"memory_mib": 16, "start": False, "customize": Customize.NONE}
        self._submit([CloneSpec(name, IMAGE, **how) for name in names])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            ended = [each for each in self._ask(self._look) if each.state.ended]
            self.least_open = min(self.least_open, IN_FLIGHT - len(ended))
            self.vms.update((each.name, each.vm) for each in ended if each.vm)
            self._submit(
                [
                    TagSpec(vm.name, vm.uuid, vm.host, (f"turn-{len(self.accepted)}",))
                    for vm in (self.vms.get(each.name) for each in ended)
                    if vm is not None
                ]
            )

    def _look(self) -> tuple[Request, ...]:
        return self.client.status_all([each.id for each in self._last.values()])

    def _submit(self, specs: list[Spec]) -> None:
        requests = [Request(new_request_id(), spec) for spec in specs]
        if requests:
            taken = self._ask(lambda: self.client.submit_all(requests))
            self._last.update((each.name, each) for each in taken)
            self.accepted.update((each.id, each) for each in taken)

    def _ask(self, question: Callable[[], tuple[Request, ...]]) -> tuple[Request, ...]:
        """Ask until there is an answer, with the same ids, or until the load is over."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return question()
            except PeerSilent:
                if self._over.is_set():
                    return ()
                if time.monotonic() > end:
                    raise

    def lost(self, cloud: Cloud, ids: Collection[str] | None = None) -> list[str]:
        """Wait for these of the accepted, or all; return what is not done, or is not there once."""
        ids = list(self.accepted if ids is None else ids)
        ended: dict[str, Request] = {}
        for start in range(0, len(ids), 500):
            ended.update(self.client.wait_all(ids[start : start + 500], PATIENCE))
        lost = [
            f"{each.kind} {each.name}: {each.state.value} {each.failure}"
            for each in ended.values()
            if each.state is not State.DONE
        ]
        self.vms.update((each.name, each.vm) for each in ended.values() if each.vm)
        there = [
            domain.UUIDString()
            for host in cloud.hosts
            for domain in cloud.libvirt(host).listAllDomains()
        ]
        clones = [self.accepted[each] for each in ids if self.accepted[each].kind == "clone"]
        found = {each.name: there.count(vm_uuid(each.id)) for each in clones}
        return lost + [
            f"{name} is there {times} times" for name, times in found.items() if times != 1
        ]

    def remove(self, hosts: list[str]) -> None:
        """Remove all that was made: the vms, then the bases that they were built upon."""
        clones = [each.id for each in self.accepted.values() if each.kind == "clone"]
        ended = self.client.wait_all(clones, PATIENCE)
        self.vms.update((each.name, each.vm) for each in ended.values() if each.vm)
        requests = [
            Request(new_request_id(), RemoveSpec(vm.name, vm.uuid, vm.host))
            for vm in self.vms.values()
        ]
        taken = self.client.submit_all(requests)
        self.client.wait_all([each.id for each in taken], PATIENCE)
        for host in hosts:
            self.client.wait(self.client.submit(ReleaseSpec(IMAGE, host)).id, PATIENCE)
