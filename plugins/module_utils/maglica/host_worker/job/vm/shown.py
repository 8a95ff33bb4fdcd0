# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of this host as the result of a request shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ....domain import definition
from ....libvirtd.local import state_of
from ....model.request import Vm

GONE = "absent"


def vm_of(domain: Any, host: str) -> Vm:
    """Return what there is to say of a domain (virDomain) of this host; costs two calls.

    Addresses and SSH host keys are not known here.
    """
    return replace(of_definition(domain.XMLDesc(), host), state=state_of(domain))


def of_definition(xml: str, host: str) -> Vm:
    """Return the vm that the domain XML ``xml`` defines, as gone."""
    found = definition.describe(xml)
    return Vm(
        name=found.name,
        uuid=found.uuid,
        host=host,
        state=GONE,
        image=found.made.image if found.made else None,
        vcpus=found.vcpus,
        memory_mib=found.memory_mib,
        interfaces=found.interfaces,
        tags=found.made.tags if found.made else (),
        disks=tuple(disk.source for disk in found.copied_disks if disk.source),
    )
