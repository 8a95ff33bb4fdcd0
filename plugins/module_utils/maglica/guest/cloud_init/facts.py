# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of an image whose clones cloud-init makes guests of their own: a frozen value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SeedFacts:
    """What a clone's seed, and a larger disk, need to know; kept as JSON with the base.

    ``ssh_host_keys`` are the types that each clone gets. ``default_user`` is what the image calls
    its own user, where that is known. For ``loses_routes6`` see network_config.py. ``root_device``
    and ``root_kind`` are of the file system at /, as in ``GuestFacts``; ``grows``: cloud-init lets
    it fill its partition at the first boot.
    """

    ssh_host_keys: tuple[str, ...] = ()
    default_user: str | None = None
    loses_routes6: bool = False
    root_device: str = ""
    root_kind: str = ""
    grows: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the facts as what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SeedFacts:
        """Return the facts that ``to_json`` gave, also after a way through JSON."""
        return cls(**{**data, "ssh_host_keys": tuple(data["ssh_host_keys"])})
