# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both sides that talk to libvirtd, the fleet and the host workers, read in the same way."""

from __future__ import annotations

from typing import Any, Callable

from .._deps import need

# virDomainState of libvirt/libvirt-domain.h in this library's words; "blocked" (2) is a running
# domain that waits for something.
_STATES = (
    "unknown",
    "running",
    "running",
    "paused",
    "stopping",
    "stopped",
    "crashed",
    "suspended",
)


def state_name(state: int) -> str:
    """Return a domain's state (virDomainState) in one word."""
    return _STATES[state] if 0 <= state < len(_STATES) else "unknown"


def bridge_of(domain: Any) -> Callable[[str], str | None]:
    """Return what tells the bridge of a network, on the host of a domain (virDomain); None for one
    that has none.
    """

    def find(network: str) -> str | None:
        try:
            return str(domain.connect().networkLookupByName(network).bridgeName())
        except need("libvirt").libvirtError:
            return None

    return find


def memory_mib(connection: Any) -> tuple[int, int]:
    """Return a host's memory in MiB: all of it, and what domains could get of it.

    Caches count as free. Both come from one call: the total of virNodeInfo is that of the NUMA
    cells, which misses memory added later. A driver without that call (QEMU's has it) does not tell
    what is free either, so all of it counts.
    """
    libvirt = need("libvirt")
    try:
        stats = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        total = int(connection.getInfo()[1])
        return total, total
    free = sum(stats.get(name, 0) for name in ("free", "buffers", "cached"))
    return int(stats["total"] >> 10), int(free >> 10)
