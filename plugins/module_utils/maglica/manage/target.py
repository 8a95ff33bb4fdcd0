# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One of the vms that a task is about: how far it is, and what stands against it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import MaglicaError
from ..model.request import Request, Spec
from ..model.text import some
from ..verbs import table
from .plan import Plan
from .wanted import Wanted


class WaitFor(str, enum.Enum):
    """When a vm that shall run is ready: its request is done, the vm is seen to run on its host,
    or it has an address, or a server of SSH answers there."""

    CLONED = "cloned"
    RUNNING = "running"
    ADDRESS = "address"
    SSH = "ssh"

    @property
    def has_address(self) -> bool:
        return self in (WaitFor.ADDRESS, WaitFor.SSH)


@dataclass(frozen=True)
class Waiting:
    """How long to wait for what; ``timeout`` is in seconds for all together."""

    wait: bool = True
    until: WaitFor = WaitFor.RUNNING
    timeout: float = 1800


@dataclass
class Target:
    """What is wanted of a vm, and what was done for it, or in check mode would be.

    ``request`` is the newest that is about it; ``done``: one that was its own has ended as it
    should. ``vm``, ``before`` and ``after`` are plain data. ``kept`` are options that the vm which
    was there, or is being made (``stands``), keeps as they are.
    """

    wanted: Wanted
    plan: Plan = field(default_factory=Plan)
    steps: Sequence[Spec] = ()
    rounds: int = 0
    changed: bool = False
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    request: Request | None = None
    done: bool = False
    error: MaglicaError | None = None
    vm: dict[str, Any] | None = None
    kept: tuple[str, ...] = ()
    stands: str = "is there"

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def has_changed(self) -> bool:
        """Whether the vm was changed, or in check mode would be; also if something failed later."""
        return self.changed and (self.error is None or self.done)

    def take(self, plan: Plan) -> None:
        """Go on as ``plan`` says; the first that was not only foreseen tells how the vm was."""
        if not self.rounds or self.plan.is_foreseen:
            self.before, self.after, self.changed = plan.before, {}, False
            self.kept, self.stands = plan.kept, "is there"
            if plan.joined is not None and table.of(plan.joined).makes_vm:
                self.stands = "is just being made, where what was said first stands"
        # Not all that a request has changed is seen of a vm afterwards.
        told = {key: self.after[key] for key in self.before if key in self.after}
        self.rounds += 1
        self.plan, self.steps, self.after = plan, plan.steps, {**told, **plan.after}
        self.changed = self.changed or plan.changed

    def fail(self, error: MaglicaError, undone: int) -> None:
        """Note what ended the last ``undone`` of the plan's steps: they have changed nothing."""
        self.error = error
        for change in self.plan.does[max(len(self.plan.does) - undone, 0) :]:
            self.after.update((key, self.before[key]) for key in change if key in self.before)


def together(refused: Sequence[Target], of: int) -> MaglicaError:
    """Return one error for all that stands against these targets before anything is done."""
    found = [target.error for target in refused if target.error]
    if of == 1:
        return found[0]
    texts = some([str(error) for error in found], "; ")
    return type(found[0])(f"nothing was done for {of} vms: {texts}")


def failures(targets: Sequence[Target]) -> MaglicaError | None:
    """Return one error for all that these targets' requests failed with."""
    failed = [(target.name, target.error) for target in targets if target.error]
    if not failed or len(targets) == 1:
        return failed[0][1] if failed else None
    by_cause: dict[str, list[str]] = {}
    for name, error in failed:
        by_cause.setdefault(str(error), []).append(name)
    causes = "; ".join(f"{some(names)}: {cause}" for cause, names in by_cause.items())
    return type(failed[0][1])(f"{len(failed)} of {len(targets)} vms failed: {causes}")


def warnings(targets: Sequence[Target]) -> list[str]:
    """Return what these targets' users would not expect: what was asked for, and not done."""
    texts: dict[str, list[str]] = {}
    for target in targets:
        if target.kept:
            text = f"not changed on a vm that {target.stands}: {', '.join(target.kept)}"
            texts.setdefault(text, []).append(target.name)
    return [f"{some(names)}: {text}" for text, names in texts.items()]
