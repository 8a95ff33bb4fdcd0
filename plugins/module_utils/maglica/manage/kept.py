# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for of a vm that is there, and stays as it is: nobody may think that it was done.
Pure.
"""

from __future__ import annotations

from ..model.errors import DiskSizeUnsupported
from ..model.request import Customize
from ..model.sizes import shown
from ..model.vm import Domain
from ..verbs.clone import GUEST_FIELDS, CloneSpec, marks
from .wanted import Wanted


def options(wanted: Wanted, existing: Domain) -> tuple[str, ...]:
    """Return the options that say how the vm shall be made where it is not known to be so."""
    spec = wanted.clone
    found = []
    if spec.customize is not Customize.AUTO and existing.customize not in (None, spec.customize):
        found.append("customize")
    if wanted.clone_mode == "linked" and existing.clone_mode == "full":
        found.append("clone_mode")
    asked = marks(spec)
    said = (*_said(spec), *secrets(spec))
    return (*found, *(option for option in said if asked[option] not in existing.asked))


def secrets(spec: CloneSpec) -> tuple[str, ...]:
    """Return the options for secrets that are given."""
    given = {
        "root_password": spec.root_password,
        "user.password": spec.user and spec.user.password,
        "user_data": spec.user_data,
    }
    return tuple(option for option, value in given.items() if value is not None)


def _said(spec: CloneSpec) -> list[str]:
    """Return those options for which ``marks`` has a word and that are given."""
    given = {
        "hostname": spec.hostname is not None,
        "pool": spec.pool is not None,
        "interfaces": any(
            getattr(nic, name) for nic in spec.interfaces or () for name in GUEST_FIELDS
        ),
        "user": spec.user is not None,
        "ssh_authorized_keys": bool(spec.ssh_authorized_keys),
    }
    return [option for option, is_given in given.items() if is_given]


def check_disk_size(wanted: Wanted, existing: Domain) -> None:
    """Raise DiskSizeUnsupported for a vm whose first disk, which is not known to be its own, has
    another size, or, of a vm of others, one that nobody knows.
    """
    disks = [disk for disk in existing.disks if disk.device == "disk"]
    known = (disk.capacity_bytes for disk in disks if disk.capacity_bytes is not None)
    size, asked = next(known, None), wanted.clone.disk_size
    is_own = any(disk.name for disk in disks[:1])
    is_so = size == asked or (size is None and existing.made)
    if asked and not is_own and not is_so:
        has = "an unknown size" if size is None else shown(size)
        raise DiskSizeUnsupported(
            f"the first disk of vm {existing.name} on host {existing.host} has {has}, not"
            f" {shown(asked)}, and is not known to be its own: leave disk_size out or say what is"
            " there"
        )
