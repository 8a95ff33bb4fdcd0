# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a network interface away from a vm."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.checks import boolean
from ...model.vm import Domain
from ..verb import ENDING, Change, Interrupted, OnVm, Option, Verb, restarting, vm_record
from .interfaces import FEATURE, MAC, RESTARTING, WantsInterfaces, matched, shown


@dataclass(frozen=True)
class RemoveInterfaceSpec(OnVm):
    """A vm that shall have no interface of that MAC address."""

    verb = "remove_interface"
    mac: str
    allow_restart: bool = False
    force: bool = False
    stop_timeout: int = 120


def _change(wanted: WantsInterfaces, existing: Domain) -> tuple[Change, ...]:
    changes = []
    for each, now in matched(wanted, existing):
        if now is None or each.present:
            continue
        pinned = (existing.name, existing.uuid, existing.host)
        spec = RemoveInterfaceSpec(*pinned, now.mac, *restarting(wanted, existing))
        key = f"interface {now.mac}"
        changes.append(Change(spec, {key: None}, before={key: shown(now)}))
    return tuple(changes)


REMOVE_INTERFACE = Verb(
    spec=RemoveInterfaceSpec,
    record=vm_record(RemoveInterfaceSpec, mac=MAC, allow_restart=boolean, **ENDING),
    help="take a network interface away from a vm",
    act="remove an interface of",
    interrupted=Interrupted.AGAIN,
    options=(Option("interface", "interface", "its MAC address", "text", "MAC"), *RESTARTING),
    change=_change,
    wants=lambda said: {"interfaces": [{"mac": said["interface"], "present": False}]},
    feature=FEATURE,
)
