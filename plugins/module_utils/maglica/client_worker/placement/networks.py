# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of networks: a host must know those that the vm's interfaces are to be on."""

from __future__ import annotations

from ...model import errors
from ...verbs.clone import CloneSpec
from .candidates import Holdings


def check(spec: CloneSpec, holdings: Holdings) -> None:
    """Raise NetworkUnknown for the first network that the host does not have."""
    for nic in spec.interfaces or ():
        if nic.network is not None and nic.network not in holdings.report.networks:
            raise errors.NetworkUnknown(f"there is no network {nic.network}")
