# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cloud-init has kept of an image's own boots: patterns (glob(3), with braces) of files, and
which files of the network's it makes anew.

It is what ``cloud-init clean`` removes, but for scripts that whoever made the image has put there.
Empty folders stay; they tell nothing but the id of an instance.
"""

from __future__ import annotations

from ..filesystem import Filesystem, Kind
from ..network import ifupdown

# Of the instance that the image was: its id, its user data with passwords, what was done once.
STATE = (
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances/*/*",
    "/var/lib/cloud/instances/*/*/*",
    "/var/lib/cloud/instances/*/*/*/*",
    "/var/lib/cloud/{data,sem,handlers}/*",
    "/var/lib/cloud/seed/{nocloud,nocloud-net}/*",
)
# What it has made of the image's network; a clone's gets other names with other addresses.
NETWORK = (
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces.d/50-cloud-init{,.cfg}",
    "/etc/systemd/network/10-cloud-init-*.network",
    "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
)
# There it writes the whole of /etc/network/interfaces, which names no other file then.
_ALPINE = "/etc/alpine-release"
_INTERFACES = (ifupdown.INTERFACES, ifupdown.DROP_INS)


def made_anew(filesystem: Filesystem) -> frozenset[str]:
    """Return the files of the network's that are there and say nothing in a clone any more."""
    is_alpine = filesystem.kind(_ALPINE) is not Kind.ABSENT
    patterns = (*NETWORK, *_INTERFACES) if is_alpine else NETWORK
    return frozenset(path for pattern in patterns for path in filesystem.glob(pattern))
