# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network card of a vm as it is asked for."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Model(str, enum.Enum):
    """What card a guest sees, in QEMU's words."""

    VIRTIO = "virtio"
    E1000 = "e1000"
    E1000E = "e1000e"
    RTL8139 = "rtl8139"
    VMXNET3 = "vmxnet3"


class Link(str, enum.Enum):
    """Whether the card's cable is plugged in."""

    UP = "up"
    DOWN = "down"


class VirtualPort(str, enum.Enum):
    """The kind of a switch that is told of its ports."""

    OPENVSWITCH = "openvswitch"


@dataclass(frozen=True)
class Card:
    """An interface beside its MAC address and what it is connected to; None: as it is, or as
    libvirt has a new one. An empty ``filter`` is none, and an empty ``vlan`` no tag.
    """

    model: Model | None = None
    link: Link | None = None
    filter: str | None = None
    vlan: tuple[int, ...] | None = None
    virtualport: VirtualPort | None = None
