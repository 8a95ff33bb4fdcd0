# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of networks: a host must have those, and the bridges, that the vm is to be on."""

from __future__ import annotations

from ...model import errors
from ...verbs.clone import CloneSpec
from .candidates import Holdings


def check(spec: CloneSpec, holdings: Holdings) -> None:
    """Raise NetworkUnknown for the first network or bridge that the host does not have."""
    devices = holdings.report.net_devices
    for nic in spec.interfaces or ():
        if nic.network is not None and nic.network not in holdings.report.networks:
            raise errors.NetworkUnknown(f"there is no network {nic.network}")
        if nic.bridge is not None and devices is not None and nic.bridge not in devices:
            raise errors.NetworkUnknown(f"there is no bridge {nic.bridge}")
