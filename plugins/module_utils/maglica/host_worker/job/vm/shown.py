# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of this host as the result of a request shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ....domain import definition as domain_xml
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
    definition = domain_xml.describe(xml)
    return Vm(
        name=definition.name,
        uuid=definition.uuid,
        host=host,
        state=GONE,
        image=definition.made.image if definition.made else None,
        vcpus=definition.vcpus,
        memory_mib=definition.memory_mib,
        interfaces=definition.interfaces,
        tags=definition.made.tags if definition.made else (),
        disks=tuple(disk.source for disk in definition.copied_disks if disk.source),
    )
