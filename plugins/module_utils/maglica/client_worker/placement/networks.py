# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of networks: a host must have those, and the bridges, that the vm is to be on."""

from __future__ import annotations

from ...model import errors
from ...model.card import Card
from ...model.request import Nic, Spec
from ...verbs.clone import CloneSpec
from ...verbs.hardware.add_interface import AddInterfaceSpec
from ...verbs.hardware.change_interface import ChangeInterfaceSpec
from ...verbs.hardware.interfaces import check_vlan
from .candidates import Holdings


def check(spec: CloneSpec, holdings: Holdings) -> None:
    """Raise NetworkUnknown for the first network or bridge that the host does not have, and
    NetworkUnsupported for what its libvirt can't do with it.
    """
    cards = (*spec.interface_devices, *[Card()] * len(spec.interfaces or ()))
    for nic, card in zip(spec.interfaces or (), cards):
        _check(nic, card, holdings)


def check_change(spec: Spec, holdings: Holdings | None, act: str) -> None:
    """Raise NetworkUnknown or NetworkUnsupported for an interface that its host can't have so;
    ``act`` begins their texts.
    """
    if holdings is None or not isinstance(spec, (AddInterfaceSpec, ChangeInterfaceSpec)):
        return
    try:
        _check(Nic(spec.network, spec.bridge), spec.card, holdings)
    except (errors.NetworkUnknown, errors.NetworkUnsupported) as error:
        raise type(error)(f"{act}{error}") from None


def _check(nic: Nic, card: Card, holdings: Holdings) -> None:
    devices = holdings.report.net_devices
    if nic.network is not None and nic.network not in holdings.report.networks:
        raise errors.NetworkUnknown(f"there is no network {nic.network}")
    if nic.bridge is not None and devices is not None and nic.bridge not in devices:
        raise errors.NetworkUnknown(f"there is no bridge {nic.bridge}")
    check_vlan(card, holdings.report.libvirt_version, nic.network or nic.bridge or "")
