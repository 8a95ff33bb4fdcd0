# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maglica beside an admin who moves, copies, snapshots, attaches and mounts: nothing is hurt.

The acts and what must hold are in foreign_machine.py, the host in foreign_world.py.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import libvirt
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test
from maglica.disk import pools
from maglica.host_worker.job.image import base as bases
from maglica.host_worker.journal.bases import READY
from maglica.host_worker.ownership import own_files
from maglica.host_worker.ownership.own_files import OwnFiles
from maglica.model.request import CloneMode
from support import qemu_libvirtd
from support.figures import Figure, at_most, control, reported

from .foreign_fakes import fakes
from .foreign_machine import Foreign
from .foreign_world import Violation, World
from .frame import Run

STEPS = 30
RUNS, SHORT_RUNS = 200, 140


@dataclass
class Lives:
    """What was seen of many lives of a host."""

    worlds: int = 0
    steps: int = 0
    seconds: float = 0.0
    violation: str = ""


def figures(run: Run) -> Iterator[Figure]:
    runs = SHORT_RUNS if run.short else RUNS
    with qemu_libvirtd.running(run.folder / "libvirtd") as uri, closing(libvirt.open(uri)) as host:
        libvirt.registerErrorHandler(lambda *_error: None, None)
        numbers = itertools.count()

        def live() -> Lives:
            return _live(host, run, runs, numbers)

        found = live()
        how = f"{found.worlds} hosts, {found.steps} steps, seed {run.seed}"
        broken = 1 if found.violation else 0
        yield at_most("foreign hands: lives with something hurt or unnamed", broken, 0, how)
        if found.violation:
            yield reported("foreign hands: what was hurt", 1, found.violation)
        speed = found.steps / max(found.seconds, 0.001)
        yield reported("foreign hands: steps a second", speed, how)
        if not run.short:
            for name, (without, case) in CONTROLS.items():
                with without():
                    found = live()
                    by = f"after {found.worlds} hosts of any kind"
                    if not found.violation:
                        # The shortest way to it, by the same acts and judged in the same way.
                        found, by = _case(host, run, case, numbers), f"{by} by its own case"
                what = f"{found.violation or 'nothing found'} ({by})"
                yield control(f"foreign hands: {name}", 1 if found.violation else 0, what)


def _machine(
    host: Any, run: Run, numbers: Iterator[int], worlds: list[World], found: Lives
) -> type[Foreign]:
    """Return the machine whose hosts lie in the run's folder; ``worlds`` gets each new one."""

    class Seen(Foreign):
        @staticmethod
        def start() -> World:
            worlds[:] = [World(run.folder / f"w{next(numbers)}", host)]
            return worlds[0]

        @staticmethod
        def seen(world: World) -> None:
            found.worlds += 1
            found.steps += world.steps

    return Seen


def _case(host: Any, run: Run, case: Callable[[Foreign], None], numbers: Iterator[int]) -> Lives:
    """Let one host live by the acts of ``case``."""
    found = Lives()
    worlds: list[World] = []
    with fakes(lambda: worlds[0]):
        machine = _machine(host, run, numbers, worlds, found)()
        machine.begin()
        try:
            case(machine)
        except Violation as violation:
            found.violation = re.sub(r"\s+", " ", str(violation))
        finally:
            machine.teardown()
    return found


def _live(host: Any, run: Run, runs: int, numbers: Iterator[int]) -> Lives:
    """Let hosts live until so many have, or one finds something."""
    found = Lives()
    logging.getLogger("maglica").setLevel(logging.CRITICAL)
    worlds: list[World] = []
    machine = _machine(host, run, numbers, worlds, found)
    wanted = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        deadline=None,
        report_multiple_bugs=False,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    begun = time.monotonic()
    with fakes(lambda: worlds[0]):
        try:
            seed(run.seed)(machine)
            run_state_machine_as_test(machine, settings=wanted)
        except (Violation, FlakyFailure) as error:
            violation = error.exceptions[0] if isinstance(error, FlakyFailure) else error
            found.violation = re.sub(r"\s+", " ", str(violation))
            # The steps that led to it.
            run.say("\n".join([found.violation, *getattr(error, "__notes__", ())]))
    found.seconds = time.monotonic() - begun
    return found


# --- controls: what must not be done


@contextmanager
def removing_bases_by_name(are_away: Any) -> Iterator[None]:
    """A base that lacks a file is removed at once, by the names of pool and volume."""
    find = bases._find

    def without(image: Any, context: Any, way: Any) -> Any:
        for base in context.journal.bases(image.uuid):
            away = [not Path(disk.path).exists() for disk in base.disks]
            if base.state == READY and are_away(away):
                for disk in base.disks:
                    _delete(context.connect(), base.pool, disk.name)
                context.journal.remove_base(base.id)
        return find(image, context, way)

    with patch.object(bases, "_find", without):
        yield


def _delete(connection: Any, pool: str, name: str) -> None:
    try:
        handle = connection.storagePoolLookupByName(pool)
        handle.refresh()
        handle.storageVolLookupByName(name).delete()
    except libvirt.libvirtError:
        return


@contextmanager
def volumes_by_pattern() -> Iterator[None]:
    """What has the vm's eight digits in its name is taken for the vm's."""

    def without(own: OwnFiles, context: Any) -> None:
        discard(own, context)
        digits = {volume.name.split(".")[-2] for volume in own.volumes}
        pattern = re.compile(rf".+\.[a-z0-9]{{1,16}}\.({'|'.join(digits)})\.qcow2")
        for pool in pools.pools(context.connect()):
            for path in Path(pool.path).glob("*.qcow2"):
                if pattern.fullmatch(path.name):
                    _delete(context.connect(), pool.name, path.name)

    discard = own_files.discard
    with patch.object(own_files, "discard", without):
        yield


@contextmanager
def without_references() -> Iterator[None]:
    """Nobody is asked whether something of others refers to a file."""
    with patch.object(own_files, "_check_unused", lambda *_asked: None):
        yield


def _clone(machine: Foreign) -> None:
    machine.clone(CloneMode.LINKED, "fast", 0)


def _number(machine: Foreign, part: str) -> int:
    """Return the choice that leads to Maglica's first file with this in its name."""
    ours = sorted(machine.world.ours)
    return 3 * next(number for number, path in enumerate(ours) if part in Path(path).name)


def pool_moved(machine: Foreign) -> None:
    _clone(machine)
    machine.rename_the_folder_of_a_pool("fast", True)
    _clone(machine)


def base_file_away(machine: Foreign) -> None:
    _clone(machine)
    machine.move_a_file_away(_number(machine, ".vda.qcow2"))
    _clone(machine)


def disk_copied(machine: Foreign) -> None:
    _clone(machine)
    machine.copy_a_file(number=_number(machine, "vm0.vda."), new_name="alike")
    machine.remove(0, 0)


def snapshot_taken(machine: Foreign) -> None:
    _clone(machine)
    machine.take_a_snapshot(number=0, external=True)
    machine.remove(0, 0)


# What is put back, and the acts that lead to it.
CONTROLS: dict[str, tuple[Any, Callable[[Foreign], None]]] = {
    "bases away removed by name": (lambda: removing_bases_by_name(all), pool_moved),
    "bases that lack a file removed by name": (
        lambda: removing_bases_by_name(lambda away: any(away) and not all(away)),
        base_file_away,
    ),
    "volumes removed by pattern": (volumes_by_pattern, disk_copied),
    "references not looked up": (without_references, snapshot_taken),
}
