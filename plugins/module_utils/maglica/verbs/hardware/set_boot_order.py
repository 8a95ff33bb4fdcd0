# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say from what a vm boots, from its next start on."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...model.checks import choice, list_of
from ...model.errors import MessageInvalid
from ...model.plain import plain
from ...model.vm import Domain
from ..verb import Change, Interrupted, OnVm, Option, Verb, WantedVm, vm_record, words

FEATURE = "boot_order"


class BootDevice(str, enum.Enum):
    """What a vm can boot from: its first disk, a medium in its drive, or the network."""

    DISK = "disk"
    CDROM = "cdrom"
    NETWORK = "network"


BOOT_ORDER = list_of(choice(BootDevice), len(BootDevice))


@dataclass(frozen=True)
class SetBootOrderSpec(OnVm):
    """A vm that shall boot from the first of these that can be booted from."""

    verb = "set_boot_order"
    boot_order: tuple[BootDevice, ...] = ()


class WantsBootOrder(WantedVm, Protocol):
    """What must be known of how a vm shall be; none: it is left as it is."""

    @property
    def boot_order(self) -> tuple[BootDevice, ...]: ...


def wanted(said: Sequence[Any] | None) -> tuple[BootDevice, ...]:
    """Return what is asked for, also as plain data. Raises MessageInvalid."""
    found: tuple[BootDevice, ...] = BOOT_ORDER(plain(list(said or ())), "boot_order")
    if len(set(found)) < len(found):
        raise MessageInvalid("boot_order: one stands twice in it")
    return found


def _change(wanted: WantsBootOrder, existing: Domain) -> Change | None:
    asked = tuple(each.value for each in wanted.boot_order)
    if asked in ((), existing.boot_order):
        return None
    pinned = (existing.name, existing.uuid, existing.host)
    spec = SetBootOrderSpec(*pinned, wanted.boot_order)
    before = {"boot_order": list(existing.boot_order)}
    return Change(spec, {"boot_order": list(asked)}, before=before)


SET_BOOT_ORDER = Verb(
    spec=SetBootOrderSpec,
    record=vm_record(SetBootOrderSpec, boot_order=BOOT_ORDER),
    help="say from what a vm boots: disk, cdrom, network, in that order",
    act="set the boot order of",
    interrupted=Interrupted.AGAIN,
    options=(
        Option(
            "boot_order",
            "boot_order",
            "the first is tried first",
            "tags",
            is_needed=True,
            choices=words(BootDevice),
        ),
    ),
    change=_change,
    feature=FEATURE,
)
