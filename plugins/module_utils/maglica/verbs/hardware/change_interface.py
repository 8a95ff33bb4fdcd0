# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a network interface of a vm: at once where its guest can, else from its next start on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...model.card import Card
from ...model.checks import optional
from ...model.plain import plain
from ...model.vm import Domain, Interface
from ..verb import Change, Interrupted, OnVm, Option, Verb, restarting
from .interfaces import (
    AS_IT_IS,
    FEATURE,
    MAC,
    OPTIONS,
    RESTARTING,
    WantsInterfaces,
    differing,
    interface_record,
    is_reconnected,
    matched,
    with_port,
)


@dataclass(frozen=True)
class ChangeInterfaceSpec(OnVm):
    """A vm whose interface ``mac`` shall be so; what is None stays as it is.

    One that is connected to another network or bridge has no VLAN tag and no virtual port of its
    own then, but those that are said here.
    """

    verb = "change_interface"
    mac: str
    new_mac: str | None = None
    network: str | None = None
    bridge: str | None = None
    card: Card = AS_IT_IS
    allow_restart: bool = False
    force: bool = False
    stop_timeout: int = 120


def _change(wanted: WantsInterfaces, existing: Domain) -> tuple[Change, ...]:
    changes = []
    for each, now in matched(wanted, existing):
        if now is None or not each.present:
            continue
        new = differing(each, now)
        if not new:
            continue
        pinned = (existing.name, existing.uuid, existing.host)
        stays = None if is_reconnected(new) else now
        card = with_port(Card(**{k: v for k, v in new.items() if k in _CARD}), stays)
        mac, network, bridge = map(new.get, ("mac", "network", "bridge"))
        said = (*pinned, now.mac, mac, network, bridge)
        spec = ChangeInterfaceSpec(*said, card, *restarting(wanted, existing))
        key = f"interface {now.mac}"
        before = {key: {name: _now(now, name) for name in new}}
        changes.append(Change(spec, {key: plain(new)}, before=before))
    return tuple(changes)


_CARD = frozenset(Card.__dataclass_fields__)


def _now(now: Interface, name: str) -> Any:
    if name == "network" and now.bridge is not None:
        return None
    return plain(getattr(now, name))


CHANGE_INTERFACE = Verb(
    spec=ChangeInterfaceSpec,
    record=interface_record(ChangeInterfaceSpec, mac=MAC, new_mac=optional(MAC)),
    help="change a network interface of a vm",
    act="change an interface of",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("interface", "interface", "its MAC address", "text", "MAC", is_manner=True),
        Option("mac", "--mac", "the MAC address that it shall have", "text"),
        *OPTIONS,
        *RESTARTING,
    ),
    change=_change,
    wants=lambda said: {"interfaces": [{**said, "was": said["interface"]}]},
    feature=FEATURE,
)
