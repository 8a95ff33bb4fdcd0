# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a host's memory vms may have. A file of its own, since the configuration, which each
command reads, needs no more of what placement knows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryLimit:
    """``overcommit`` times what ``reserve_mib``, for the host itself, leaves of its memory may be
    committed to vms.
    """

    overcommit: float = 1.0
    reserve_mib: int = 512

    def of(self, total_mib: int) -> int:
        return int(self.overcommit * max(total_mib - self.reserve_mib, 0))


DEFAULT = MemoryLimit()
