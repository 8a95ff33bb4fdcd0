# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What errors of the acts on a vm's hardware say first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .....libvirtd import local
from .....model.errors import MaglicaError, VmUnknown
from .....model.request import Request
from .....verbs import table
from ...context import JobContext

# Where the device has a name.
_ACTS = {
    "add_disk": "add disk {} to",
    "detach_disk": "detach disk {} from",
    "grow_disk": "grow disk {} of",
    "change_interface": "change interface {} of",
    "remove_interface": "remove interface {} of",
}


@contextmanager
def about_device(request: Request, device: str, context: JobContext) -> Iterator[None]:
    """Let an error of the block say which device of which vm it is about."""
    act = table.act(request)
    if request.kind in _ACTS:
        act = f"{_ACTS[request.kind].format(device)} {request.name}"
    with local.errors(act, context.host):
        try:
            yield
        except VmUnknown:
            raise
        except MaglicaError as error:
            text = str(error)
            if text.startswith("cannot "):
                raise
            raise type(error)(f"cannot {act} on host {context.host}: {text}") from error
