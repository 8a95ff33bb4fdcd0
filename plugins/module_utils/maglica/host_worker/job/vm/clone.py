# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes vms from original images: all waiting requests for one image together.

Each step is done for all members before the next one, and a member that fails is undone and leaves
the batch. What a step is about to leave behind is announced in the journal first.
"""

from __future__ import annotations

import logging
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
from ....verbs.clone import CloneSpec
from ...journal.bases import Base
from .. import undo
from ..context import JobContext
from ..image import base as bases
from ..image import original, unused_bases
from ..image.original import Image
from . import clone_steps
from .clone_steps import NewVm

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

    def run(self) -> None:
        try:
            self._each(self._take_up)
            if self._members:
                image = original.read(self._image, self._context)
                for step in (self._make_disks, self._define, self._start):
                    step(image)
                if len(self._context.journal.bases(image.uuid)) > 1:
                    # What a new base has made superfluous.
                    unused_bases.tidy(self._context)
        except HostDown:
            raise
        except MaglicaError as error:
            # What concerns the image or the host, and no single member, ends them all.
            for vm in list(self._members):
                self._fail(vm, error)

    def _take_up(self, vm: NewVm) -> None:
        """Finish a vm that an earlier run has defined; all others begin anew."""
        connection = self._context.connect()
        if local.find(connection, vm.uuid, self._context.host) is not None:
            with self._context.phase(vm.request.id, "start"):
                made = clone_steps.start(vm, connection, self._context.host)
            self._done(vm, made)

    def _make_disks(self, image: Image) -> None:
        self._each(lambda vm: clone_steps.check(vm, image, self._context))
        if not self._members:
            return
        first = self._members[0]
        with ExitStack() as stack:
            with self._phase("base"):
                wanted = (first.request.id, Customize.OFFLINE, first.spec.pool)
                held = bases.held(image, self._context, *wanted)
                base = stack.enter_context(held)
            facts = bases.facts_of(base)
            writer = Writer()
            if facts.areas:
                stack.enter_context(writer)
            with self._phase("copy"):
                self._copy(image, base, facts)
            if self._members:
                with self._phase("customize"):
                    self._customize(base, facts, writer)

    def _copy(self, image: Image, base: Base, facts: GuestFacts) -> None:
        context = self._context
        connection = context.connect()
        source = clone_steps.source(base, facts, context)
        self._each(lambda vm: clone_steps.place(vm, source, image, context))
        self._at_once(
            lambda vm: clone_steps.copy(vm, source, connection, context),
            lambda vm: clone_steps.make_keys(vm, facts, context),
        )

    def _customize(self, base: Base, facts: GuestFacts, writer: Writer) -> None:
        guests: dict[str, Guest] = {}

        def plan(vm: NewVm) -> None:
            guests[vm.request.id] = clone_steps.guest(vm, facts, base)

        def take_result(vm: NewVm) -> None:
            error = results[vm.request.id]
            if error is not None:
                with vm.pool.explained():
                    raise error

        self._each(plan)
        settings = self._context.settings
        drives = [Drive(disk.path, disk.format) for disk in base.disks]
        results = write_areas(list(guests.values()), facts, drives, writer)
        rest = [guest for key, guest in guests.items() if key not in results]
        if rest:
            use_kvm = accel.kvm_works(settings.accel, settings.state_dir)
            results.update(customize(rest, facts, use_kvm, self._context.alive))
        self._each(take_result)

    def _define(self, _image: Image) -> None:
        context = self._context
        with self._phase("define"):
            self._each(lambda vm: clone_steps.announce(vm, context))
            connection = context.connect()
            self._at_once(lambda vm: clone_steps.define(vm, connection, context.host))

    def _start(self, _image: Image) -> None:
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

    def _phase(self, name: str) -> AbstractContextManager[None]:
        return self._context.phase([vm.request.id for vm in self._members], name)

    def _each(self, step: Callable[[NewVm], None]) -> None:
        """Do a step for each member; one that fails leaves the batch alone."""
        for vm in list(self._members):
            self._settle(vm, partial(step, vm))

    def _at_once(self, *steps: Callable[[NewVm], None]) -> None:
        """Do steps for all members side by side, which must be such as can run in any thread."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [(vm, pool.submit(step, vm)) for vm in self._members for step in steps]
        for vm, job in jobs:
            self._settle(vm, job.result)

    def _settle(self, vm: NewVm, act: Callable[[], None]) -> None:
        """Do something for a member, and end its request if that fails."""
        try:
            act()
        except HostDown:
            raise
        except MaglicaError as error:
            if vm in self._members:
                self._fail(vm, error)

    def _fail(self, vm: NewVm, error: MaglicaError) -> None:
        """Undo what was made for a member and end its request with the cause."""
        self._members.remove(vm)
        text = f"cannot clone {vm.spec.image} as {vm.spec.name} on host {self._context.host}: "
        failure = type(error)(f"{text}{error}")
        _log.error("request %s: %s", vm.request.id, failure)
        try:
            undo.undo(vm.request.id, self._context)
        except MaglicaError as problem:
            # The request stays open with its intents, until a later job has undone them.
            _log.error("request %s: cannot undo: %s", vm.request.id, problem)
        self._context.failed(vm.request, failure)
