# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that does what requests ask for: ``run.py maglica.host_worker.job.main``.

It is told the ids of requests, one job after the other, and says what comes of them (channel.py);
specs come from the journal and results go there. It keeps its connection to libvirtd from one job
to the next.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Callable

from ...config import config
from ...domain import definition
from ...libvirtd import local
from ...model.errors import ConfigInvalid, HostDown, JournalFailed, MaglicaError
from ...model.request import Request
from ...model.text import told
from ...model.vm import Domain, vm_uuid
from ...system import log, memory
from ...system.log_fields import about
from ...verbs import table
from ...verbs.verb import Interrupted
from .. import channel, request_locks
from ..journal.intents import Effect
from ..journal.journal import Journal
from ..journal.requests import Entry
from . import guard, undo
from .context import JobContext
from .image import add_image, inspect, prepare, release, remove_image
from .vm import adopt, clone, disown, flatten, remove, resize, restart, start, stop, tag
from .vm import set as settings
from .vm.hardware import (
    add_disk,
    add_interface,
    change_interface,
    detach_disk,
    grow_disk,
    remove_interface,
    set_boot_order,
    set_cdrom,
)
from .vm.power import pause

_log = logging.getLogger(__name__)

# What does each verb: those that one job does for many requests together, and all others.
TOGETHER: dict[str, Callable[[Sequence[Request], JobContext], None]] = {"clone": clone.run}
ALONE: dict[str, Callable[[Request, JobContext], Domain | None]] = {
    "start": start.start,
    "stop": stop.stop,
    "restart": restart.restart,
    "remove": remove.remove,
    "resize": resize.resize,
    "tag": tag.tag,
    "set": settings.set_,
    "pause": pause.pause,
    "add_disk": add_disk.add_disk,
    "grow_disk": grow_disk.grow_disk,
    "detach_disk": detach_disk.detach_disk,
    "add_interface": add_interface.add_interface,
    "change_interface": change_interface.change_interface,
    "remove_interface": remove_interface.remove_interface,
    "set_cdrom": set_cdrom.set_cdrom,
    "set_boot_order": set_boot_order.set_boot_order,
    "flatten": flatten.flatten,
    "adopt": adopt.adopt,
    "disown": disown.disown,
    "inspect": inspect.inspect,
    "prepare": prepare.prepare,
    "release": release.release,
    "add_image": add_image.add_image,
    "remove_image": remove_image.remove_image,
}


def run(request_ids: Sequence[str], context: JobContext) -> None:
    """Bring each of these requests to its end, or leave it open for another try.

    What has ended meanwhile is left alone; what is to be undone is undone. Raises HostDown when
    libvirtd is gone: no request fails for that.
    """
    context.kills = memory.Kills()
    with request_locks.held(context.settings.state_dir, request_ids):
        entries = [context.journal.entry(request_id) for request_id in request_ids]
        waiting = [entry for entry in entries if entry and not entry.request.state.ended]
        ready = [entry.request for entry in waiting if _is_ready(entry, context)]
        for kind, act in TOGETHER.items():
            batch = [request for request in ready if request.kind == kind]
            if batch:
                with about(*batch):
                    act(batch, context)
        for request in ready:
            if request.kind in ALONE:
                with about(request):
                    _run_alone(request, context)


def _run_alone(request: Request, context: JobContext) -> None:
    try:
        vm = ALONE[request.kind](request, context)
    except HostDown:
        raise
    except MaglicaError as error:
        _log.warning("request %s: %s", request.id, error)
        context.failed(request, error)
    else:
        context.done(request, vm)


def _is_ready(entry: Entry, context: JobContext) -> bool:
    with about(entry.request):
        return _prepare(entry, context)


def _prepare(entry: Entry, context: JobContext) -> bool:
    """Undo what an earlier run has left; return whether the request is to run now.

    What is finished once it has begun is not undone: it runs to its end, also when it is cancelled.
    So does what can't be undone any more.
    """
    try:
        announced = bool(context.journal.intents(entry.id))
        interrupted = table.of(entry.request).interrupted
        if announced and interrupted is Interrupted.FINISHED:
            return True
        if entry.ending is not None:
            with context.phase(entry.id, "undo"):
                undo.undo(entry.id, context)
            context.undone(entry.request, entry.ending)
            return False
        if announced and interrupted is Interrupted.UNDONE:
            kept = _KEPT.get(entry.request.kind, _of_nothing)(entry.request, context)
            undo.undo(entry.id, context, kept)
    except HostDown:
        raise
    except MaglicaError as error:
        _log.warning("request %s: cannot undo: %s", entry.id, error)
        context.failed(entry.request, error)
        return False
    return True


def _of_clone(request: Request, context: JobContext) -> Collection[Effect]:
    """All stays of a clone whose vm was defined, which is the last step but its start."""
    domain = local.find(context.connect(), vm_uuid(request.id), context.host)
    if domain is None:
        return ()
    with local.errors(f"read the definition of {request.name}", context.host):
        made = definition.describe(domain.XMLDesc()).made
    return tuple(Effect) if made is not None and made.request == request.id else ()


def _of_nothing(_request: Request, _context: JobContext) -> Collection[Effect]:
    return ()


# Of the effects of an interrupted run those that its next one goes on with, by the verb.
_KEPT: dict[str, Callable[[Request, JobContext], Collection[Effect]]] = {
    "clone": _of_clone,
    "add_image": add_image.goes_on_with,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the worker until it closes stdin."""
    options = _parser().parse_args(arguments)
    memory.be_first_to_end()
    guard.fork(options.life)
    # Programs and libraries that print must not disturb the channel to the worker.
    to_worker = os.dup(1)
    os.dup2(2, 1)

    def say(value: channel.Said) -> None:
        os.write(to_worker, channel.line(value))

    log.start("maglica-host-worker", who=f"job {os.getpid()}")
    try:
        _serve(Path(options.config), say)
    except (ConfigInvalid, HostDown, JournalFailed) as error:
        say(channel.Blocked(told(error)))
        return 1
    except Exception as error:
        say(channel.Crashed(told(f"{type(error).__name__}: {error}")))
        raise
    return 0


def _serve(config_path: Path, say: Callable[[channel.Said], None]) -> None:
    settings = config.load(config_path).need_host_worker()
    context = JobContext(Journal(settings.state_dir), settings, say)
    # Before the first job waits for it; should libvirtd be down, that job tells.
    with contextlib.suppress(MaglicaError):
        context.connect()
    say(channel.Alive())
    for number, line in enumerate(sys.stdin, start=1):
        run(channel.told(line).ids, context)
        say(channel.Idle(number))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py maglica.host_worker.job.main",
        description="Run jobs for the host worker, which starts this itself.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="maglica.conf")
    parser.add_argument(
        "--life",
        required=True,
        type=int,
        metavar="FD",
        help="the pipe that closes when the worker ends",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
