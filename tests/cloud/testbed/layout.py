# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and paths of a checkout's test cloud: all derived, nothing looked up.

Everything that the cloud makes outside its own folder (bridge, cgroups, processes) carries a name
that follows from the checkout's path. So whatever was killed on the way up can be found and
removed without any recorded state, and two checkouts never meet.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

DOMAIN = "example.jp"
IMAGE = "debian-12"
"""The image that the hosts fetch, as a distribution offers it."""
TEMPLATE = "debian12.original"
"""The image that somebody has installed by hand on each host."""
MAX_KVM_HOSTS = 14
"""The guest subnets are the /24s after the first one of a /20."""

_NETWORKS = list(ipaddress.IPv4Network("10.0.0.0/8").subnets(new_prefix=20))
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/@+-]+")


@dataclass(frozen=True)
class Host:
    """One machine of the test cloud."""

    name: str
    machine: str
    """Name towards this machine: of the container, its control group, its end of the cable (`vb-`
    and this, of which the kernel takes 15 characters)."""
    address: ipaddress.IPv4Address
    folder: Path
    """Everything of this host on disk: the overlay's layers, the guests' disks, its console."""
    guests: ipaddress.IPv4Network | None = None
    """Subnet of this host's libvirt network `default`; None where no guests run."""

    @property
    def root(self) -> Path:
        """Where the host's file system is mounted, for its own processes only."""
        return self.folder / "root"

    @property
    def upper(self) -> Path:
        """The layer that holds what this host wrote."""
        return self.folder / "upper"

    @property
    def images(self) -> Path:
        """The host's /var/lib/libvirt/images: a plain folder, for QEMU wants no overlayfs."""
        return self.folder / "images"

    @property
    def console(self) -> Path:
        """What the host's systemd and its container manager printed."""
        return self.folder / "console.log"

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        """The host's own address in its guests' subnet."""
        if self.guests is None:
            raise ValueError(f"host {self.name} runs no guests")
        return self.guests[1]


@dataclass(frozen=True)
class Layout:
    """The whole cloud of one checkout."""

    checkout: Path
    id: str
    """Six hexadecimal digits that tell this checkout's cloud from others'."""
    network: ipaddress.IPv4Network
    """The /20 that holds the hosts (its first /24) and all guests."""
    client: Host
    kvm: tuple[Host, ...]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts, the client first."""
        return (self.client, *self.kvm)

    @property
    def bridge(self) -> str:
        """Name of the bridge that connects the hosts with this machine."""
        return f"mg{self.id}"

    @property
    def machine_prefix(self) -> str:
        """What the `machine` of every host of this cloud, and of no other, begins with."""
        return f"mg{self.id}-"

    @property
    def gateway(self) -> ipaddress.IPv4Interface:
        """This machine's address on the bridge."""
        return ipaddress.IPv4Interface((int(self.network[1]), 24))

    @property
    def build(self) -> Path:
        """The git-ignored folder that takes everything."""
        return self.checkout / "build"

    @property
    def cache(self) -> Path:
        """Roots and images that outlive a cloud."""
        return self.build / "cache" / "cloud"

    @property
    def guests(self) -> Path:
        """Guests' roots and disks, which outlive a cloud too."""
        return self.build / "cache" / "guests"

    @property
    def state(self) -> Path:
        """The running cloud: keys, inventory, hosts. Gone after `down`."""
        return self.build / "cloud"

    @property
    def offered(self) -> Path:
        """What the client offers by HTTP, as a distribution does."""
        return self.state / "offered"

    @property
    def host_folders(self) -> Path:
        """Where the hosts' own folders lie."""
        return self.state / "hosts"


class LayoutError(Exception):
    """The checkout or the number of hosts does not allow a cloud."""


def layout(checkout: Path, kvm_hosts: int, network: str | None = None) -> Layout:
    """Return the cloud of `checkout` with `kvm_hosts` hosts that run guests.

    `network` is a private IPv4 /20 to use in place of the one that follows from the path. Raises
    LayoutError for a path that overlayfs' options can't hold and for numbers out of range.
    """
    if not _SAFE_PATH.fullmatch(str(checkout)):
        raise LayoutError(
            f"the path {checkout} holds characters that mount options don't take: move the "
            f"checkout to a path of letters, digits and ._/@+-"
        )
    if not 1 <= kvm_hosts <= MAX_KVM_HOSTS:
        raise LayoutError(f"HOSTS is {kvm_hosts}, it must be 1 to {MAX_KVM_HOSTS}")
    digest = hashlib.sha256(str(checkout).encode()).digest()
    net = _network(network) if network else _NETWORKS[int.from_bytes(digest[:8], "big") % 4096]
    cloud_id = digest.hex()[-6:]

    def host(short: str, number: int, guests: ipaddress.IPv4Network | None = None) -> Host:
        name = f"{short}.{DOMAIN}"
        folder = checkout / "build/cloud/hosts" / name
        machine = f"mg{cloud_id}-{short.replace('kvm', 'k')[:3]}"
        return Host(name, machine, net[number], folder, guests)

    subnets = list(net.subnets(new_prefix=24))
    return Layout(
        checkout=checkout,
        id=cloud_id,
        network=net,
        client=host("client", 2),
        kvm=tuple(host(f"kvm{i}", 10 + i, subnets[i + 1]) for i in range(kvm_hosts)),
    )


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LayoutError(f"MAGLICA_CLOUD_NETWORK: {error}") from error
    if network.prefixlen != 20 or not network.is_private:
        raise LayoutError(f"MAGLICA_CLOUD_NETWORK: {network} is not a private /20")
    return network


def clashes(
    network: ipaddress.IPv4Network, bridge: str, routes: list[dict[str, str]]
) -> list[tuple[str, str]]:
    """Return (destination, device) of each of `routes` that overlaps `network`.

    `routes` is what `ip -json route show table all` prints. Routes of `bridge` are the cloud's
    own, and default routes overlap with everything and clash with nothing.
    """
    found = []
    for route in routes:
        destination, device = route["dst"], route.get("dev", "?")
        if destination == "default" or ":" in destination or device == bridge:
            continue
        if ipaddress.ip_network(destination, strict=False).overlaps(network):
            found.append((destination, device))
    return found
