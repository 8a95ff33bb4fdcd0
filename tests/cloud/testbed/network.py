# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud's network on this machine: one bridge, and a route to each host's guests."""

from __future__ import annotations

import json
from pathlib import Path

from support.run import CloudError, run
from testbed.layout import Host, Layout, clashes


def bridge_exists(cloud: Layout) -> bool:
    """Tell whether the cloud's bridge is there."""
    return Path("/sys/class/net", cloud.bridge).exists()


def make_bridge(cloud: Layout) -> None:
    """Make the bridge with this machine's address on it; CloudError if others use the network."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all"))
    taken = clashes(cloud.network, cloud.bridge, routes)
    if taken:
        others = ", ".join(f"{destination} on {device}" for destination, device in taken)
        raise CloudError(
            f"the cloud's network {cloud.network} overlaps {others}; "
            f"set MAGLICA_CLOUD_NETWORK to a private /20 that is free"
        )
    if not bridge_exists(cloud):
        run("ip", "link", "add", cloud.bridge, "type", "bridge")
    run("ip", "address", "replace", str(cloud.gateway), "dev", cloud.bridge)
    run("ip", "link", "set", cloud.bridge, "up")


def route_guests(cloud: Layout, host: Host) -> None:
    """Send what goes to the guests of `host` by way of it. Such a route ends with the bridge."""
    if host.guests is not None:
        way = ("via", str(host.address), "dev", cloud.bridge)
        run("ip", "route", "replace", str(host.guests), *way)


def remove_bridge(cloud: Layout) -> None:
    """Remove the bridge and with it its routes."""
    if bridge_exists(cloud):
        run("ip", "link", "delete", cloud.bridge)
