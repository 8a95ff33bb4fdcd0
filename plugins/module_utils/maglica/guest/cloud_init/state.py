# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cloud-init has kept of an image's own boots: patterns (glob(3), with braces) of files.

It is what ``cloud-init clean`` removes, but for scripts that whoever made the image has put there.
Empty folders stay; they tell nothing but the id of an instance.
"""

from __future__ import annotations

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
