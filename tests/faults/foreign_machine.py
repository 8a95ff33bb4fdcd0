# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acts of Maglica and of an admin in any order (hypothesis), and what must hold after each.

After each step: no file that Maglica did not make is changed or gone; none that anything refers to
is gone; what a done request made is there or was removed by a request; nothing of Maglica's is left
that metadata, the journal or the list of leftovers does not name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from maglica.domain import definition
from maglica.libvirtd import local
from maglica.model.card import Card, Link
from maglica.model.request import CloneMode, Request, State
from maglica.verbs import table
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware.disks import NewDisk
from maglica.verbs.set import SetSpec
from maglica.verbs.verb import OnVm

from .foreign_domain_hands import DomainHands
from .foreign_hands import choices, pools
from .foreign_world import HOST, IMAGE, Violation, Vm, World, tear_down

# After how many writes of the journal the job dies; mostly it lives.
KILLS = st.one_of(st.just(0), st.just(0), st.integers(1, 24))

# Of an interface that a vm may get.
OWN_MAC = "52:54:00:00:00:01"


class Foreign(DomainHands):
    """One life of a host. ``start`` gives the next world, ``seen`` is told each world's steps."""

    start: Callable[[], World]
    seen: Callable[[World], None]

    @initialize()
    def begin(self) -> None:
        self.world = type(self).start()

    def teardown(self) -> None:
        if self.world is not None:
            tear_down(self.world)
            type(self).seen(self.world)

    # --- Maglica

    @rule(mode=st.sampled_from(CloneMode), pool=st.one_of(st.none(), pools), kill=KILLS)
    def clone(self, mode: CloneMode, pool: str | None, kill: int) -> None:
        spec = CloneSpec(f"vm{next(self._numbers)}", IMAGE, clone_mode=mode, pool=pool, start=False)
        self._clone(spec, kill)

    @rule()
    def clone_that_fails(self) -> None:
        self.world.unlucky = True
        self._clone(CloneSpec(f"vm{next(self._numbers)}", IMAGE, start=False), 0)
        self.world.unlucky = False

    def _clone(self, spec: CloneSpec, kill: int) -> None:
        world = self.world
        request = world.request(spec)
        world.kill_in = kill
        before = set(world.ours)
        (now,) = world.run(request.id)
        if now is not None and now.state is State.DONE:
            made = {path for path in world.ours if Path(path).name.startswith(f"{spec.name}.")}
            world.vms[request.id] = Vm(spec.name, request.id, frozenset(made - before))
        self._check()

    @rule()
    def open_requests_go_on(self) -> None:
        """The worker starts again and runs what has not ended."""
        world = self.world
        for entry in world.context.journal.open():
            vm = self._vm_of(entry.request.spec)
            (now,) = world.run(entry.id, removed=vm)
            spec = entry.request.spec
            if isinstance(spec, CloneSpec) and now is not None and now.state is State.DONE:
                files = {path for path in world.ours if Path(path).name.startswith(f"{spec.name}.")}
                world.vms[entry.id] = Vm(spec.name, entry.id, frozenset(files))
            elif entry.request.kind == "remove" and vm is not None:
                self._settle(vm, now)
        self._check()

    def _settle(self, vm: Vm, removal: Request | None) -> None:
        """Take note of how far the removal of a vm has come; one whose journal is lost goes on."""
        self.world.vms.pop(vm.request, None)
        self.world.going.pop(vm.request, None)
        if removal is None or not removal.state.ended:
            self.world.going[vm.request] = vm
        elif removal.state is not State.DONE:
            self.world.vms[vm.request] = vm

    def _vm_of(self, spec: object) -> Vm | None:
        known = (*self.world.vms.values(), *self.world.going.values())
        uuids = {vm.uuid: vm for vm in known}
        return uuids.get(spec.uuid) if isinstance(spec, OnVm) else None

    def _ask(self, kind: str, number: int, kill: int, **fields: Any) -> None:
        world = self.world
        vm = list(world.vms.values())[number % len(world.vms)]
        pinned = {"name": vm.name, "uuid": vm.uuid, "host": HOST}
        request = world.request(table.named(kind).spec(**pinned, **fields))
        before = set(world.files())
        world.kill_in = kill
        is_protected = self._is_protected(vm.uuid)
        (now,) = world.run(request.id, removed=vm if kind == "remove" else None)
        is_done = now is not None and now.state is State.DONE
        if kind == "detach_disk" and is_protected and is_done and before - set(world.files()):
            raise Violation(f"a disk of vm {vm.name} was removed, though it was protected")
        if kind == "remove":
            if is_protected and is_done:
                raise Violation(f"vm {vm.name} was removed, though it was protected")
            if now is not None and now.state is State.FAILED and before - set(world.files()):
                raise Violation(f"the removal of {vm.name} was refused, and took files away")
            self._settle(vm, now)
        self._check()

    def _is_protected(self, uuid: str) -> bool:
        domain = local.find(self.world.connection, uuid, HOST)
        made = None if domain is None else definition.describe(local.inactive_xml(domain)).made
        return made is not None and made.protected

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, protected=st.booleans(), kill=KILLS)
    def note(self, number: int, protected: bool, kill: int) -> None:
        vm = list(self.world.vms.values())[number % len(self.world.vms)]
        spec = SetSpec(vm.name, vm.uuid, HOST, description="seen", protected=protected)
        request = self.world.request(spec)
        self.world.kill_in = kill
        self.world.run(request.id)
        self._check()

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, kill=KILLS)
    def remove(self, number: int, kill: int) -> None:
        self._ask("remove", number, kill)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, kill=KILLS)
    def flatten(self, number: int, kill: int) -> None:
        self._ask("flatten", number, kill)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, pool=st.one_of(st.none(), pools), kill=KILLS)
    def add_disk(self, number: int, pool: str | None, kill: int) -> None:
        self._ask("add_disk", number, kill, disk=NewDisk("data", 1, pool=pool))

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, disk=st.sampled_from(["data", "vda"]), kill=KILLS)
    def grow_disk(self, number: int, disk: str, kill: int) -> None:
        self._ask("grow_disk", number, kill, disk=disk, size_mib=8)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, disk=st.sampled_from(["data", "vda"]), keep=st.booleans(), kill=KILLS)
    def detach_disk(self, number: int, disk: str, keep: bool, kill: int) -> None:
        self._ask("detach_disk", number, kill, disk=disk, keep=keep)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, bridge=st.sampled_from(["lo", "none"]), kill=KILLS)
    def add_interface(self, number: int, bridge: str, kill: int) -> None:
        self._ask("add_interface", number, kill, mac=OWN_MAC, bridge=bridge)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, kill=KILLS)
    def change_interface(self, number: int, kill: int) -> None:
        card = Card(link=Link.DOWN)
        self._ask("change_interface", number, kill, mac=OWN_MAC, card=card)

    @precondition(lambda self: self.world is not None and self.world.vms)
    @rule(number=choices, kill=KILLS)
    def remove_interface(self, number: int, kill: int) -> None:
        self._ask("remove_interface", number, kill, mac=OWN_MAC)

    @rule(
        kind=st.sampled_from(["adopt", "adopt", "set", "disown", "remove"]),
        number=choices,
        said=st.booleans(),
        kill=KILLS,
    )
    def about_a_domain_of_others(self, kind: str, number: int, said: bool, kill: int) -> None:
        """Taken over, given back, removed: only what the removal was told of may go."""
        world = self.world
        ours = {vm.uuid for vm in (*world.vms.values(), *world.going.values())}
        found = [
            each for each in world.connection.listAllDomains() if each.UUIDString() not in ours
        ]
        theirs = {each.name(): each for each in found if each.name() != IMAGE}
        if not theirs:
            return
        name, domain = sorted(theirs.items(), key=lambda each: each[0])[number % len(theirs)]
        fields = {"remove": "remove_foreign_disks", "set": "protected"}
        more = {fields[kind]: said} if kind in fields else {}
        spec = table.named(kind).spec(name=name, uuid=domain.UUIDString(), host=HOST, **more)
        request = world.request(spec)
        if kind == "remove" and said:
            world.lent[request.id] = world.named_by(domain)
        world.kill_in = kill
        is_protected = self._is_protected(domain.UUIDString())
        (now,) = world.run(request.id)
        is_done = now is not None and now.state is State.DONE
        if kind in ("disown", "remove") and is_protected and is_done:
            raise Violation(f"{kind} of {name} was done, though it was protected")
        self._check()

    @rule(kind=st.sampled_from(["prepare", "release"]), kill=KILLS)
    def about_the_image(self, kind: str, kill: int) -> None:
        request = self.world.request(table.named(kind).spec(IMAGE, HOST))
        self.world.kill_in = kill
        self.world.run(request.id)
        self._check()

    def _check(self) -> None:
        self.world.check_names()
        self.world.check_vms()
