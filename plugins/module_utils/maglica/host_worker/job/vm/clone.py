# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes vms from original images: all waiting requests for one image together.

Each step is done for all members before the next one, and a member that fails is undone and leaves
the batch. What a step is about to leave behind is announced in the journal first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Callable

from ....guest.appliance import accel
from ....guest.appliance.appliance import Drive
from ....guest.areas.writes import Writer
from ....guest.customize import Guest, customize, write_areas
from ....guest.facts import GuestFacts
from ....libvirtd import local
from ....model.errors import HostDown, MaglicaError
from ....model.request import Customize, Request
from ....model.vm import Domain
from ....system.log_fields import about
from ....verbs.clone import CloneSpec
from ...journal.bases import Base
from .. import undo
from ..context import JobContext
from ..image import base as bases
from ..image import original, unused_bases, ways
from ..image.original import Image
from . import clone_steps, seed
from .hardware import interfaces
from .new_vm import NewVm

# Members for which a step is done at once: as many calls of one client libvirtd serves.
AT_ONCE = 5

_log = logging.getLogger(__name__)


def run(requests: Sequence[Request], context: JobContext) -> None:
    """Make the vms that clone requests ask for; each request ends in the context, done or failed.

    A request whose vm is defined already, with its own metadata, goes on with the start. Raises
    HostDown when libvirtd is gone: the requests that have not ended are to be run again.
    """
    by_image: dict[str, list[NewVm]] = {}
    for request in requests:
        if isinstance(request.spec, CloneSpec):
            by_image.setdefault(request.spec.image, []).append(NewVm(request, request.spec))
    for image, members in by_image.items():
        _Batch(image, members, context).run()


class _Batch:
    """Clones of one image in the making; those that have ended are members no more."""

    def __init__(self, image: str, members: list[NewVm], context: JobContext) -> None:
        self._image = image
        self._members = members
        self._context = context
        # Who has which MAC address, these members among them.
        self._macs: dict[str, str] = {}

    def run(self) -> None:
        try:
            self._each(self._take_up)
            if self._members:
                image = original.read(self._image, self._context)
                specs = [vm.spec for vm in self._members]
                self._macs = interfaces.taken_of(specs, self._context)
                self._each(lambda vm: clone_steps.check(vm, image, self._context))
                self._each(lambda vm: interfaces.claim(vm.spec, self._macs))
                spent = self._choose(image)
                for way in Customize:
                    self._make_disks(image, way, spent)
                self._define()
                self._start()
                if len(self._context.journal.bases(image.uuid)) > 1:
                    # What a new base has made superfluous.
                    unused_bases.tidy(self._context)
        except HostDown:
            raise
        except MaglicaError as error:
            # What concerns the image or the host, and no single member, ends them all.
            self._fail_all(self._members, error)

    def _take_up(self, vm: NewVm) -> None:
        """Finish a vm that an earlier run has defined; all others begin anew."""
        connection = self._context.connect()
        if local.find(connection, vm.uuid, self._context.host) is not None:
            with self._context.phase(vm.request.id, "start"):
                made = clone_steps.start(vm, connection, self._context.host)
            self._done(vm, made)

    def _choose(self, image: Image) -> float:
        """Choose the way of each member; return how many seconds that took."""
        begun, context = time.monotonic(), self._context
        context.begin([vm.request.id for vm in self._members], "base")
        for asked in Customize:
            members = [vm for vm in self._members if vm.spec.customize is asked]
            if not members:
                continue
            first = members[0]
            try:
                chosen = ways.chosen(image, asked, first.request.id, context, first.spec.pool)
            except HostDown:
                raise
            except MaglicaError as error:
                self._fail_all(members, error)
                continue
            for vm in members:
                vm.chosen = chosen
        self._each(lambda vm: seed.check_way(vm, image, context))
        return time.monotonic() - begun

    def _make_disks(self, image: Image, way: Customize, spent: float) -> None:
        """Make the disks of those members that are customized in one way."""
        members = self._of(way)
        if not members:
            return
        first = members[0]
        try:
            with ExitStack() as stack:
                with self._phase("base", members, spent):
                    wanted = (first.request.id, way, first.spec.pool)
                    base = stack.enter_context(bases.held(image, self._context, *wanted))
                writer = Writer()
                if base.facts is not None and base.facts.areas:
                    stack.enter_context(writer)
                with self._phase("copy", members):
                    self._copy(image, base)
                if self._of(way) and way is not Customize.NONE:
                    with self._phase("customize", self._of(way)):
                        self._customize(base, writer)
        except HostDown:
            raise
        except MaglicaError as error:
            # What concerns the base ends all that are to build upon it.
            self._fail_all(self._of(way), error)

    def _of(self, way: Customize) -> list[NewVm]:
        return [vm for vm in self._members if vm.chosen.way is way]

    def _copy(self, image: Image, base: Base) -> None:
        context = self._context
        connection = context.connect()
        source = clone_steps.source(base, context)
        self._each(lambda vm: clone_steps.place(vm, source, image, self._macs, context), base.way)
        self._at_once(
            lambda vm: clone_steps.copy(vm, source, connection, context),
            lambda vm: clone_steps.make_keys(vm, base, context),
            way=base.way,
        )

    def _customize(self, base: Base, writer: Writer) -> None:
        if base.facts is not None:
            self._write_offline(base, base.facts, writer)
        elif base.seed is not None:
            facts, connection = base.seed, self._context.connect()
            self._at_once(
                lambda vm: clone_steps.write_seed(vm, facts, connection),
                way=base.way,
            )

    def _write_offline(self, base: Base, facts: GuestFacts, writer: Writer) -> None:
        guests: dict[str, Guest] = {}

        def plan(vm: NewVm) -> None:
            guests[vm.request.id] = clone_steps.guest(vm, facts, base)

        def take_result(vm: NewVm) -> None:
            error = results[vm.request.id]
            if error is not None:
                with vm.pool.explained():
                    raise error

        self._each(plan, base.way)
        settings = self._context.settings
        drives = [Drive(disk.path, disk.format) for disk in base.disks]
        results = write_areas(list(guests.values()), facts, drives, writer)
        rest = [guest for key, guest in guests.items() if key not in results]
        if rest:
            use_kvm = accel.kvm_works(settings.accel, settings.state_dir)
            results.update(customize(rest, facts, use_kvm, self._context.alive))
        self._each(take_result, base.way)

    def _define(self) -> None:
        context = self._context
        with self._phase("define"):
            self._each(lambda vm: clone_steps.announce(vm, context))
            connection = context.connect()
            self._at_once(lambda vm: clone_steps.define(vm, connection, context.host))

    def _start(self) -> None:
        made: dict[str, Domain] = {}
        connection = self._context.connect()

        def start(vm: NewVm) -> None:
            made[vm.request.id] = clone_steps.start(vm, connection, self._context.host)

        with self._phase("start"):
            self._at_once(start)
        for vm in list(self._members):
            self._done(vm, made[vm.request.id])

    def _done(self, vm: NewVm, made: Domain) -> None:
        self._context.done(vm.request, made)
        self._members.remove(vm)

    def _phase(
        self, name: str, members: Sequence[NewVm] | None = None, spent: float = 0.0
    ) -> AbstractContextManager[None]:
        ids = [vm.request.id for vm in (self._members if members is None else members)]
        return self._context.phase(ids, name, spent)

    def _each(self, step: Callable[[NewVm], None], way: Customize | None = None) -> None:
        """Do a step for each member, or those of one way; one that fails leaves the batch alone."""
        for vm in list(self._members if way is None else self._of(way)):
            self._settle(vm, partial(step, vm))

    def _at_once(self, *steps: Callable[[NewVm], None], way: Customize | None = None) -> None:
        """Do steps for all of them side by side, which must be such as can run in any thread."""
        members = self._members if way is None else self._of(way)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [(vm, pool.submit(_do, step, vm)) for vm in members for step in steps]
        for vm, job in jobs:
            self._settle(vm, job.result)

    def _settle(self, vm: NewVm, act: Callable[[], None]) -> None:
        """Do something for a member, and end its request if that fails."""
        try:
            with about(vm.request):
                act()
        except HostDown:
            raise
        except MaglicaError as error:
            if vm in self._members:
                self._fail(vm, error)

    def _fail_all(self, members: Sequence[NewVm], error: MaglicaError) -> None:
        for vm in list(members):
            self._fail(vm, error)

    def _fail(self, vm: NewVm, error: MaglicaError) -> None:
        """Undo what was made for a member and end its request with the cause."""
        self._members.remove(vm)
        text = f"cannot clone {vm.spec.image} as {vm.spec.name} on host {self._context.host}: "
        failure = type(error)(f"{text}{error}")
        with about(vm.request):
            _log.error("request %s: %s", vm.request.id, failure)
            try:
                undo.undo(vm.request.id, self._context)
            except MaglicaError as problem:
                # The request stays open with its intents, until a later job has undone them.
                _log.error("request %s: cannot undo: %s", vm.request.id, problem)
        self._context.failed(vm.request, failure)


def _do(step: Callable[[NewVm], None], vm: NewVm) -> None:
    with about(vm.request):
        step(vm)
