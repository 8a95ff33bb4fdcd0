# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module, and prints the progress of its requests while it waits.

A module can't print while it runs. So it sends each change to a socket on which this plugin
listens; where the module runs on another machine it can't reach it, and nothing is printed.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.utils.display import Display
from ansible_collections.maglica.cloud.plugins.module_utils._progress import PROGRESS_VARIABLE
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import one_line
from ansible_collections.maglica.cloud.plugins.plugin_utils.changing import ChangingAction

display = Display()
_MAX_MESSAGE = 1 << 16


class ProgressAction(ChangingAction):
    """Runs the module, and listens to it meanwhile."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict:
        """Run the module once, and print what it tells of its requests."""
        with _printed_progress() as environment:
            # The task of this process is a copy: no other task gets this variable.
            self._task.environment = [*(self._task.environment or []), environment]
            return super().run(tmp, task_vars)


@contextlib.contextmanager
def _printed_progress() -> Iterator[dict[str, str]]:
    """Print what is sent to a socket until the block ends; yield the variable that names it.

    Progress is decoration: without a socket, as when its path would be too long, there is nothing
    to print, and what becomes of the socket meanwhile is nothing that a task may fail by.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="maglica-", ignore_cleanup_errors=True)
            )
            receiver = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            address = str(Path(folder, "progress"))
            receiver.bind(address)
            receiver.setblocking(False)
            # What ends the printer needs no name that could be gone by then.
            ended, end = map(stack.enter_context, socket.socketpair())
            printer = threading.Thread(target=_print_all, args=(receiver, ended), daemon=True)
            printer.start()
        except (OSError, RuntimeError) as error:
            display.vv(f"no progress is shown: {error}")
            yield {}
            return
        try:
            yield {PROGRESS_VARIABLE: address}
        finally:
            end.close()
            printer.join()


def _print_all(receiver: socket.socket, ended: socket.socket) -> None:
    """Print each message that comes, until the other end of ``ended`` is closed."""
    last = None
    with selectors.DefaultSelector() as selector:
        for each in (receiver, ended):
            selector.register(each, selectors.EVENT_READ)
        over = False
        while not over:
            over = any(key.fileobj is ended for key, _events in selector.select())
            with contextlib.suppress(BlockingIOError):
                while True:
                    last = _print(receiver.recv(_MAX_MESSAGE), last)


def _print(message: bytes, last: str | None) -> str | None:
    """Print a message, unless it says the same as the last one; return what it says."""
    try:
        said = json.loads(message)
        text = one_line(said.get("text") or line(said))
        if text != last:
            display.display(text, color=constants.COLOR_VERBOSE, stderr=True)
    except Exception:  # noqa: BLE001 - whatever is sent, and wherever it can't be shown
        return last
    return text


def line(request: dict[str, Any]) -> str:
    """Return what is printed of a request as the module sends it."""
    where = f" on {request['host']}" if request["host"] else ""
    what = f"{request['name']}: {request['kind']}{where}: "
    # Before it runs, only what it waits for is a phase.
    if request["state"] in ("queued", "running") and request["phase"]:
        what += " ".join(filter(None, (request["phase"], request.get("amount"))))
    else:
        what += request["state"]
    if request["phases"]:
        done = ", ".join(f"{phase['name']} {phase['seconds']:.1f} s" for phase in request["phases"])
        what += f" ({done})"
    return what
