# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""By what a vm is known: its UUID and its network interfaces. A file of its own, since listing
needs no more of model.py, and an inventory is read at the start of each command.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

# Domain UUIDs derive from request ids in this name space, so that the same request can't make two.
_VM_NAMESPACE = uuid.UUID("0d4ee5a0-63a5-4f55-a6cf-2b3f8a1f5f0e")


@dataclass(frozen=True)
class Interface:
    """A network interface of a vm, with the addresses that are known."""

    mac: str
    network: str | None = None
    addresses: tuple[str, ...] = ()


def vm_uuid(request_id: str) -> str:
    """Return the UUID of the domain that the clone request ``request_id`` makes."""
    return str(uuid.uuid5(_VM_NAMESPACE, request_id))
