# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a vm other vcpus or memory: at once where its guest can, else from its next start on."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.checks import boolean, optional
from ..model.vm import Domain
from .verb import (
    ALLOW_RESTART,
    ENDING,
    FORCE,
    MEMORY,
    SHUTDOWN_TIMEOUT,
    VCPUS,
    Change,
    Interrupted,
    OnVm,
    Option,
    Verb,
    WantedVm,
    restarting,
    vm_record,
)


@dataclass(frozen=True)
class ResizeSpec(OnVm):
    """A vm that shall have this size; what is None stays as it is.

    ``allow_restart``: it is restarted if it has another one before its next start. ``force`` and
    ``stop_timeout`` are as of a vm that shall be off, and count then.
    """

    verb = "resize"
    vcpus: int | None = None
    memory_mib: int | None = None
    allow_restart: bool = False
    force: bool = False
    stop_timeout: int = 120

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
    # What an earlier one has left for the next start is done now, if that is allowed now.
    how = restarting(wanted, existing)
    is_due = existing.restart_needed and how[0]
    if vcpus is None and memory_mib is None and not is_due:
        return None
    after = {"vcpus": vcpus or existing.vcpus, "memory_mib": memory_mib or existing.memory_mib}
    pinned = (existing.name, existing.uuid, existing.host)
    spec = ResizeSpec(*pinned, vcpus, memory_mib, *how)
    if not is_due:
        return Change(spec, after)
    return Change(spec, {**after, "restarted": True}, before={"restarted": False})


RESIZE = Verb(
    spec=ResizeSpec,
    record=vm_record(
        ResizeSpec,
        vcpus=optional(VCPUS),
        memory_mib=optional(MEMORY),
        allow_restart=boolean,
        **ENDING,
    ),
    help="change a vm's vCPUs and memory",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("vcpus", "--vcpus", "how many virtual CPUs", metavar="N"),
        Option(
            "memory_mib",
            "--memory",
            "in MiB or such as 2GiB",
            "size",
            metavar="SIZE",
        ),
        ALLOW_RESTART,
        FORCE,
        SHUTDOWN_TIMEOUT,
    ),
    change=_change,
    later=dict.fromkeys(("allow_restart", "force", "stop_timeout"), "allow_restart"),
)
