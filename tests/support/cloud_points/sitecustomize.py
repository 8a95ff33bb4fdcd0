# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""With this folder on a real host worker's PYTHONPATH, its work can be stopped at named points.

Each point that is passed is a line of the file ``passed``. Where ``stop`` names points, apart by
blanks, who comes to one writes its number to ``reached`` and waits until ``stop`` names it no more.
``without-undo``, ``without-cancel`` and ``without-digests`` are negative controls: then nothing is
undone, no cancel is heeded, and whatever was fetched has the right checksum. With
``without-appliance`` each image has a guest that needs none. All in the folder FOLDER.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(os.environ.get("MAGLICA_POINTS", "/run/maglica-points"))
_phases: list[str] = []
# A phase that was told of, and whose block has not begun; and one that is just begun.
_told: list[str] = []
_entered: list[str] = []


def point(name: str) -> None:
    """Say that the work has come to a point, and wait there if that is asked for."""
    name = "/".join((*(_phases or _told)[-1:], name))
    with (FOLDER / "passed").open("a", encoding="ascii") as passed:
        passed.write(f"{name}\n")
    if name in _stops():
        draft = FOLDER / f"reached.{os.getpid()}"
        draft.write_text(str(os.getpid()), encoding="ascii")
        draft.rename(FOLDER / "reached")
        while name in _stops():
            time.sleep(0.02)


def _stops() -> list[str]:
    try:
        return (FOLDER / "stop").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def plant_in_job() -> None:
    plant_in_steps()
    plant_in_programs()
    plant_in_undo()
    if (FOLDER / "without-appliance").exists():
        take_all_guests()
    plant_in_digests()


def take_all_guests() -> None:
    from maglica.guest.facts import GuestFacts, Seen
    from maglica.guest.prepare import Prepared
    from maglica.host_worker.job.image import look
    from maglica.model.request import Customize

    facts = GuestFacts((), "debian", "12", "ifupdown", "i", "", True)
    found = Prepared(Seen(cloud_init="is not there"), Customize.OFFLINE, facts)
    look.prepare_base = lambda *_asked: found


def plant_in_digests() -> None:
    from maglica.system import download

    class Right(str):
        """A digest that is the one that was wanted."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, _other):
            return True

        def __ne__(self, _other):
            return False

    real_digest = download._Part.digest.fget

    def digest(part):
        # What was not begun yet is not there.
        is_blind = part.size and (FOLDER / "without-digests").exists()
        return Right(real_digest(part)) if is_blind else real_digest(part)

    download._Part.digest = property(digest)


def plant_in_steps() -> None:
    """Points at the begin and end of each phase, after each announcement, and around the end."""
    from maglica.host_worker import request_locks
    from maglica.host_worker.job import context
    from maglica.host_worker.journal import journal

    real_begin = context.JobContext.begin
    real_phase = context.JobContext.phase
    real_end = context.JobContext._end
    real_intend = journal.Journal.intend
    real_held = request_locks.held

    def begin(self, request_ids, name):
        real_begin(self, request_ids, name)
        # A phase that is told of before its block.
        if not _entered:
            _told[:] = [name]
            point("begin")

    @contextmanager
    def phase(self, request_ids, name, *values, **options):
        is_told = _told == [name]
        _entered.append(name)
        with real_phase(self, request_ids, name, *values, **options):
            _entered.pop()
            _told.clear()
            _phases.append(name)
            try:
                if not is_told:
                    point("begin")
                yield
                point("end")
            finally:
                _phases.pop()

    def end(self, *values, **options):
        _told.clear()
        point("ending")
        real_end(self, *values, **options)
        point("ended")

    def intend(self, request_id, kind, data):
        real_intend(self, request_id, kind, data)
        point(f"announced-{kind.value}")

    @contextmanager
    def held(*values, **options):
        with real_held(*values, **options):
            point("taken")
            yield

    context.JobContext.begin = begin
    context.JobContext.phase = phase
    context.JobContext._end = end
    journal.Journal.intend = intend
    request_locks.held = held


def plant_in_programs() -> None:
    """Points before and in the middle of a copy, when an appliance is up, before it mounts."""
    from maglica.disk import qemu_img
    from maglica.guest.appliance import appliance

    real_copy = qemu_img.copy
    real_popen = subprocess.Popen
    real_appliance = appliance.Appliance.__init__
    real_mounted = appliance.Appliance.mounted

    def copy(chain, target, alive, *overlay):
        told = []

        def first_alive():
            if not told:
                told.append(True)
                point("copying")
            alive()

        return real_copy(chain, target, first_alive, *overlay)

    def started(command, *values, **options):
        if "convert" in command:
            point("before-copy")
        return real_popen(command, *values, **options)

    def launched(self, *values, **options):
        real_appliance(self, *values, **options)
        point("appliance")

    def mounted(self, *values):
        point("mounting")
        return real_mounted(self, *values)

    appliance.Appliance.mounted = mounted
    qemu_img.copy = copy
    subprocess.Popen = started
    appliance.Appliance.__init__ = launched


def plant_in_undo() -> None:
    from maglica.host_worker.job import undo

    real_undo = undo.undo

    def take_back(request_id, context, *kept):
        _told.clear()
        point("undo")
        if (FOLDER / "without-undo").exists():
            context.journal.forget(request_id)
        else:
            real_undo(request_id, context, *kept)

    undo.undo = take_back


def plant_in_worker() -> None:
    """A point between the commit of a request and its acknowledgement; and who heeds a cancel."""
    from maglica.host_worker.daemon import open_requests
    from maglica.host_worker.journal import journal

    real_accept = journal.Journal.accept
    real_cancel = open_requests.Work.cancel

    def accept(self, requests):
        real_accept(self, requests)
        if requests:
            point("committed")

    def cancel(self, request_id):
        if not (FOLDER / "without-cancel").exists():
            real_cancel(self, request_id)

    journal.Journal.accept = accept
    open_requests.Work.cancel = cancel


if FOLDER.is_dir():
    if "maglica.host_worker.job.main" in sys.orig_argv:
        plant_in_job()
    elif "maglica.host_worker.main" in sys.orig_argv:
        plant_in_worker()
