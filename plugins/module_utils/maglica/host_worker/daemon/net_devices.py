# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network devices this machine has: a bridge, also one of Open vSwitch, is one of them."""

from __future__ import annotations

import socket

from ...wire.records import MAX_NETWORKS

# What libvirt makes for each guest that runs: to tell them would make every report a new one.
_OF_GUESTS = ("vnet", "macvtap")


def net_devices(uri: str) -> tuple[str, ...] | None:
    """Return their names but those of guests; None where they can't be told, or are too many, or
    the libvirtd of ``uri`` has no guests of QEMU, which alone use them.
    """
    if not uri.startswith("qemu"):
        return None
    try:
        names = [name for _index, name in socket.if_nameindex()]
    except OSError:
        return None
    found = sorted(name for name in names if name.isprintable() and not name.startswith(_OF_GUESTS))
    return tuple(found) if len(found) <= MAX_NETWORKS else None
