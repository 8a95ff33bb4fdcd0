# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what is done to a base whose clones cloud-init makes guests of their own.

The image's identity goes, and nothing is laid out. Of an image that is made for clouds nothing is
left to do, so that its base need not be one of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...model.errors import GuestUnsupported
from .. import ssh
from ..base_plan import IDENTITY, asks_by_its_name, dhclient
from ..clone_plan import MACHINE_ID
from ..edits import Edit, Remove, Write
from ..filesystem import Filesystem, Kind, literal
from ..inspect import DBUS_MACHINE_ID, DHCLIENT, INITIATOR, generates_iqn, key_types, need_own_ids
from ..network import stacks
from .state import NETWORK, made_anew

_READ_LIMIT = 1024 * 1024
# machine-id(5): without an id of its own a guest takes its domain's UUID, or a random one.
_NO_IDS = (b"", b"\n", b"uninitialized\n")
_GENERATED_IQN = b"GenerateName=yes\n"


@dataclass(frozen=True)
class SeedBase:
    """What is to be edited, none where the image is clean. ``filled``: files whose content alone is
    replaced, so that they keep what SELinux calls them. ``ssh_host_keys`` are the types that each
    clone gets.
    """

    edits: tuple[Edit, ...]
    filled: tuple[str, ...]
    ssh_host_keys: tuple[str, ...]


def examine(filesystem: Filesystem) -> SeedBase:
    """Read what tells the image from its clones, and would not be made anew by cloud-init.

    Raises GuestUnsupported for what they would share, or GuestUnreadable.
    """
    need_own_ids(filesystem)
    named = ssh.examine(filesystem)
    anew = made_anew(filesystem)
    for file in stacks.found(filesystem):
        if file.static and file.path not in anew:
            raise GuestUnsupported(
                f"{file.path} in the guest ({file.stack}) has {file.static!r}, which each clone"
                " would have too, beside what cloud-init gives it: remove it from the image"
            )
    edits: list[Edit] = [
        Remove(pattern)
        for pattern in (*IDENTITY, *NETWORK, *map(literal, named.certificates))
        if any(filesystem.kind(p) is not Kind.DIRECTORY for p in filesystem.glob(pattern))
    ]
    written = list(_written(filesystem))
    filled = tuple(each.path for each in written if filesystem.kind(each.path) is Kind.FILE)
    if filesystem.kind(DBUS_MACHINE_ID) is Kind.FILE:
        # D-Bus copies /etc/machine-id when its own is missing.
        edits.append(Remove(DBUS_MACHINE_ID))
    return SeedBase((*edits, *written), filled, key_types(filesystem, ssh.types(named)))


def _written(filesystem: Filesystem) -> list[Write]:
    written = []
    if filesystem.read(MACHINE_ID, _READ_LIMIT) not in _NO_IDS:
        written.append(Write(MACHINE_ID, b"", 0o444))
    iqn = filesystem.read(INITIATOR, _READ_LIMIT)
    if generates_iqn(filesystem) and iqn != _GENERATED_IQN:
        written.append(Write(INITIATOR, _GENERATED_IQN, 0o600))
    options = filesystem.read(DHCLIENT, _READ_LIMIT)
    if options is not None:
        text = options.decode("utf-8", "surrogateescape")
        if not asks_by_its_name(text):
            content = dhclient(text).encode("utf-8", "surrogateescape")
            written.append(Write(DHCLIENT, content))
    return written
