# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a vm other vcpus or memory; a guest that runs has them after its next start."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.checks import optional
from ..model.vm import Domain
from .verb import (
    MEMORY,
    VCPUS,
    Change,
    Interrupted,
    OnVm,
    Option,
    Verb,
    WantedVm,
    vm_record,
)


@dataclass(frozen=True)
class ResizeSpec(OnVm):
    """A vm that shall have this size; what is None stays as it is."""

    verb = "resize"
    vcpus: int | None = None
    memory_mib: int | None = None

    @property
    def new_memory_mib(self) -> int | None:
        return self.memory_mib

    @property
    def new_vcpus(self) -> int | None:
        return self.vcpus


def _change(wanted: WantedVm, existing: Domain) -> Change | None:
    size = wanted.clone
    vcpus = size.vcpus if size.vcpus != existing.vcpus else None
    memory_mib = size.memory_mib if size.memory_mib != existing.memory_mib else None
    if vcpus is None and memory_mib is None:
        return None
    after = {"vcpus": vcpus or existing.vcpus, "memory_mib": memory_mib or existing.memory_mib}
    spec = ResizeSpec(existing.name, existing.uuid, existing.host, vcpus, memory_mib)
    return Change(spec, after)


RESIZE = Verb(
    spec=ResizeSpec,
    record=vm_record(ResizeSpec, vcpus=optional(VCPUS), memory_mib=optional(MEMORY)),
    help="change a vm's vCPUs and memory",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("vcpus", "--vcpus", metavar="N"),
        Option(
            "memory_mib",
            "--memory",
            "in MiB or such as 2GiB",
            "size",
            metavar="SIZE",
        ),
    ),
    change=_change,
)
