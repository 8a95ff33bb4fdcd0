# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fakes of libguestfs and ssh-keygen for the host of foreign_world.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable
from unittest.mock import patch

from maglica.guest import ssh_keys
from maglica.guest.appliance import accel
from maglica.guest.filesystem import ApplianceDied
from maglica.guest.identity import HostKey
from maglica.guest.prepare import Prepared
from maglica.host_worker.job.image import look
from maglica.host_worker.job.vm import clone
from maglica.model.errors import GuestUnreadable, MaglicaError
from maglica.model.request import Customize
from support.fake_host import SEEN, prepared

from .foreign_world import World


@contextmanager
def fakes(world: Callable[[], World]) -> Iterator[None]:
    """Put fakes in the places of libguestfs and ssh-keygen; ``world`` is the one of the moment."""

    def customize(guests: Sequence[Any], *_rest: Any) -> dict[str, MaglicaError | None]:
        error = GuestUnreadable("the appliance found nothing") if world().unlucky else None
        return {guest.key: error for guest in guests}

    def prepare(_drives: Any, asked: Customize | None, *_rest: Any) -> Prepared:
        if world().unlucky:
            # A verdict on the guest would be kept.
            raise ApplianceDied("the appliance ended")
        return prepared(SEEN, asked)

    def host_keys(types: Sequence[str], name: str, _folder: Path) -> tuple[HostKey, ...]:
        return tuple(HostKey(kind, b"key", f"ssh-{kind} AAAA {name}") for kind in types)

    with ExitStack() as stack:
        for owner, name, fake in (
            (look, "prepare_base", prepare),
            (clone, "customize", customize),
            (ssh_keys, "host_keys", host_keys),
            (accel, "kvm_works", lambda *_asked: False),
        ):
            stack.enter_context(patch.object(owner, name, fake))
        yield
