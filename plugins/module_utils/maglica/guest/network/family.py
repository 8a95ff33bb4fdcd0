# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a family of network configuration is. One file beside this for each; families.py has all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

from ..edits import Edit
from ..facts import GuestFacts, GuestInterface
from ..filesystem import Filesystem
from ..identity import NicIdentity

_LOOPBACK = GuestInterface("lo")


@dataclass(frozen=True)
class Network:
    """What a guest's files say of its network.

    ``files`` were taken over into the rest and are to be removed; ``optional`` are those that only
    some clones change, to be laid out too. The rest is as in GuestFacts.
    """

    interfaces: tuple[GuestInterface, ...]
    loopback: GuestInterface = _LOOPBACK
    addresses: tuple[str, ...] = ()
    drop_ins: bool = False
    files: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A way to configure a network that clones can be given.

    ``needs`` says what a guest has that uses it. ``used`` tells whether this guest does, from its
    files; ``examine`` reads them, or raises GuestUnsupported. ``plan`` returns the edits that give
    the NICs of a clone their configuration. ``room``: paths that it writes, with the bytes to have
    for what may be longer in a clone than in the sample that is laid out. ``identity``: patterns
    (glob(3), with braces) of files that make a guest known to others and are made anew.
    """

    name: str
    needs: str
    used: Callable[[Filesystem], bool]
    examine: Callable[[Filesystem], Network]
    plan: Callable[[GuestFacts, tuple[NicIdentity, ...]], tuple[Edit, ...]]
    room: Mapping[str, int]
    identity: tuple[str, ...] = ()
