# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes back what a request's job announced, the last first.

Each step may run again at any time and finds nothing to do then, so that a job that died while it
undid is followed by one that goes on. What undoes an effect stands in the file of its act.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from typing import Any, Callable

from ..journal.intents import Effect
from .context import JobContext, key_folder
from .image import arrival, defined, look, new_base
from .vm import clone_steps, flatten, restart
from .vm.hardware import add_disk

UNDOERS: dict[Effect, Callable[[str, dict[str, Any], JobContext], None]] = {
    Effect.VOLUME: clone_steps.undo_volume,
    Effect.FILE: clone_steps.undo_file,
    Effect.DISK: add_disk.undo,
    Effect.DOMAIN: clone_steps.undo_domain,
    Effect.PULL: flatten.undo_pull,
    Effect.PAUSE: flatten.undo_pause,
    Effect.SHUTDOWN: restart.undo,
    Effect.CHANGE: restart.undo_change,
    Effect.BASE: new_base.undo,
    Effect.LOOK: look.undo,
    Effect.FETCH: arrival.undo,
    Effect.IMAGE: defined.undo,
}
# What is gone on with instead, until all of it is done.
FINISHED = frozenset({Effect.REMOVAL})


def undo(request_id: str, context: JobContext, kept: Collection[Effect] = ()) -> None:
    """Undo all that is announced for a request and forget it, but for the kinds that are ``kept``:
    its next run goes on with these.

    Raises StorageFailed, LibvirtFailed or HostDown; what is left then is still announced.
    """
    intents = reversed(context.journal.intents(request_id))
    # A vm that was shut down does not start with what is still to be undone.
    for intent in sorted(intents, key=lambda each: each.kind is Effect.SHUTDOWN):
        if intent.kind not in kept:
            UNDOERS[intent.kind](request_id, intent.data, context)
    shutil.rmtree(key_folder(context, request_id), ignore_errors=True)
    context.journal.forget(request_id, kept)
