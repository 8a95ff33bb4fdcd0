# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The families of network configuration that guests may use, and which of them one uses."""

from __future__ import annotations

from ...model.errors import GuestUnsupported
from ..filesystem import Filesystem
from . import ifupdown, networkd, stacks
from .family import Family, Network

# One more with each change of which guests are refused, and so with each family, and of what is
# known of a guest: what was found before then counts no more.
INSPECTION = 13
FAMILIES: tuple[Family, ...] = (ifupdown.FAMILY, networkd.FAMILY)


def by_name(name: str) -> Family:
    """Return the family of that name. Raises GuestUnsupported when there is none."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise GuestUnsupported(f"the guest's network configuration {name!r} is unknown")


def examine(filesystem: Filesystem) -> tuple[Family, Network]:
    """Return the family that configures the guest's network, and what its files say.

    Raises GuestUnsupported where there is none or more than one, and for what clones would share.
    """
    used = [(each, each.examine(filesystem)) for each in FAMILIES if each.used(filesystem)]
    if not used:
        raise _unknown(filesystem)
    # One that is there and configures nothing but the loopback interface leaves it to the others.
    configuring = [(each, network) for each, network in used if network.interfaces] or used[:1]
    if len(configuring) > 1:
        names = " and ".join(each.name for each, _network in configuring)
        raise GuestUnsupported(
            f"the guest's network is configured by {names}, while clones get theirs by one: remove"
            " from the image what the others configure"
        )
    family, network = configuring[0]
    stacks.check(stacks.found(filesystem), family.name, bool(network.interfaces), _supported())
    return family, network


def identity() -> tuple[str, ...]:
    """Return the patterns of all families: what isn't used in a guest may have been before."""
    return tuple(pattern for family in FAMILIES for pattern in family.identity)


def room() -> dict[str, int]:
    """Return the bytes to have for more, by the paths that any family writes."""
    return {path: bytes_ for family in FAMILIES for path, bytes_ in family.room.items()}


def _unknown(filesystem: Filesystem) -> GuestUnsupported:
    others = stacks.named(filesystem)
    found = f"by {' and '.join(others)}" if others else "in a way that is not known"
    return GuestUnsupported(f"the guest's network is configured {found}; supported: {_supported()}")


def _supported() -> str:
    return ", or ".join(f"{family.name} with {family.needs}" for family in FAMILIES)
