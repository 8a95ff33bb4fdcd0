# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add a network interface to a vm, which its guest sees at once where it can."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.card import Card
from ...model.checks import optional
from ...model.errors import NameInvalid
from ...model.plain import plain
from ...model.vm import Domain
from ..verb import Change, Interrupted, OnVm, Option, Verb, restarting
from .interfaces import (
    AS_IT_IS,
    FEATURE,
    MAC,
    OPTIONS,
    RESTARTING,
    WantedInterface,
    WantsInterfaces,
    interface_record,
    matched,
)


@dataclass(frozen=True)
class AddInterfaceSpec(OnVm):
    """A vm that shall have one more interface. ``mac``: None, one is made up; that it has one of
    that MAC address is no error.
    """

    verb = "add_interface"
    mac: str | None = None
    network: str | None = None
    bridge: str | None = None
    card: Card = AS_IT_IS
    allow_restart: bool = False
    force: bool = False
    stop_timeout: int = 120


def _change(wanted: WantsInterfaces, existing: Domain) -> tuple[Change, ...]:
    changes = []
    place = len(existing.later_interfaces)
    for each, now in matched(wanted, existing):
        if now is not None or not each.present:
            continue
        if not (each.network or each.bridge):
            raise NameInvalid(
                f"interfaces: one names no network or bridge, and vm {existing.name} on host"
                f" {existing.host} has only {len(existing.later_interfaces)}"
            )
        pinned = (existing.name, existing.uuid, existing.host)
        said = (each.network, each.bridge, each.card)
        spec = AddInterfaceSpec(*pinned, each.mac, *said, *restarting(wanted, existing))
        key = f"interface {each.mac or place}"
        changes.append(Change(spec, {key: _shown(each)}, before={key: None}))
        place += 1
    return tuple(changes)


def _shown(each: WantedInterface) -> dict[str, object]:
    told = {"mac": each.mac, "network": each.network, "bridge": each.bridge, **plain(each.card)}
    return {name: value for name, value in told.items() if value is not None}


ADD_INTERFACE = Verb(
    spec=AddInterfaceSpec,
    record=interface_record(AddInterfaceSpec, mac=optional(MAC)),
    help="add a network interface to a vm",
    act="add an interface to",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("mac", "--mac", "its MAC address (default: one is made up)", "text"),
        *OPTIONS,
        *RESTARTING,
    ),
    change=_change,
    wants=lambda said: {"interfaces": [{**said, "further": True}]},
    feature=FEATURE,
)
