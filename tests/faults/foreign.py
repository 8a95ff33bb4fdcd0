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
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import libvirt
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test
from maglica.host_worker import bases, own_files, storage
from maglica.host_worker.journal import READY
from maglica.host_worker.own_files import OwnFiles
from support import qemu_libvirtd
from support.figures import Figure, at_most, control, reported

from .foreign_machine import Foreign
from .foreign_world import Violation, World, fakes
from .frame import Run

STEPS = 30
RUNS, SHORT_RUNS = 200, 25


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
            for name, without in CONTROLS.items():
                with without():
                    found = live()
                what = f"{found.violation or 'nothing found'} (after {found.worlds} hosts)"
                yield control(f"foreign hands: {name}", 1 if found.violation else 0, what)


def _live(host: Any, run: Run, runs: int, numbers: Iterator[int]) -> Lives:
    """Let hosts live until so many have, or one finds something."""
    found = Lives()
    logging.getLogger("maglica").setLevel(logging.CRITICAL)
    worlds: list[World] = []

    class Seen(Foreign):
        @staticmethod
        def start() -> World:
            worlds[:] = [World(run.folder / f"w{next(numbers)}", host)]
            return worlds[0]

        @staticmethod
        def seen(world: World) -> None:
            found.worlds += 1
            found.steps += world.steps

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
            seed(run.seed)(Seen)
            run_state_machine_as_test(Seen, settings=wanted)
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

    def without(image: Any, context: Any) -> Any:
        for base in context.journal.bases(image.uuid):
            away = [not Path(disk["path"]).exists() for disk in base.disks.values()]
            if base.state == READY and are_away(away):
                for disk in base.disks.values():
                    _delete(context.connect(), base.pool, disk["name"])
                context.journal.remove_base(base.id)
        return find(image, context)

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

    def without(own: OwnFiles, context: Any, uuid: str | None = None) -> None:
        discard(own, context, uuid)
        if uuid is None or not own.volumes:
            return
        pattern = re.compile(rf".+\.[a-z0-9]{{1,16}}\.{uuid[:8]}\.qcow2")
        for pool in storage.pools(context.connect()):
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


CONTROLS: dict[str, Any] = {
    "bases away removed by name": lambda: removing_bases_by_name(all),
    "bases that lack a file removed by name": lambda: removing_bases_by_name(
        lambda away: any(away) and not all(away)
    ),
    "volumes removed by pattern": volumes_by_pattern,
    "references not looked up": without_references,
}
