# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for of a vm that is there, and stays as it is: nobody may think that it was done.
So does what is not known of it, and only not seen. Pure.
"""

from __future__ import annotations

from ..model.errors import DiskSizeUnsupported, LibvirtFailed, NameInvalid
from ..model.request import Customize
from ..model.sizes import shown
from ..model.text import some
from ..model.vm import Domain
from ..verbs.clone import GUEST_FIELDS, CloneSpec, marks
from ..verbs.hardware import disks as disk_verbs
from ..verbs.table import Presence
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


def need_definition(domain: Domain) -> None:
    """Raise LibvirtFailed for a domain that doesn't show whether Maglica made it."""
    if domain.made is None:
        raise LibvirtFailed(
            f"cannot tell whether Maglica made vm {domain.name} on host {domain.host}: its"
            " definition can't be read; virsh dumpxml shows there what is wrong with it"
        )


def need_all(wanted: Wanted, existing: Domain) -> None:
    """Raise LibvirtFailed where something is asked for by what was left out of a report."""
    is_there = wanted.state is not Presence.ABSENT
    disks = is_there and bool(wanted.disks or wanted.cdrom or wanted.clone.disk_size)
    asked = {
        "tags": is_there and wanted.tags is not None,
        "disks": disks or any(disk.keep for disk in wanted.disks),
        "interfaces": is_there and bool(wanted.interfaces),
        "foreign disks": not is_there and existing.adopted,
    }
    for what, is_asked in asked.items():
        if is_asked:
            refuse_cut(existing, what)


def refuse_lost(wanted: Wanted, existing: Domain) -> None:
    """Raise NameInvalid for a vm that would go with a disk which is to be kept."""
    found = disk_verbs.attached(existing)
    lost = [disk.name for disk in wanted.disks if disk.keep and disk.name in found]
    if lost:
        raise NameInvalid(
            f"cannot remove vm {existing.name} on host {existing.host} and keep its disk"
            f" {some(lost)}: a disk is detached and kept by a task before, with another state of"
            " the vm"
        )


def refuse_cut(existing: Domain, what: str) -> None:
    """Raise LibvirtFailed for a vm of which just this was left out of a report."""
    if existing.is_cut:
        raise LibvirtFailed(
            f"the {what} of vm {existing.name} on host {existing.host} are not known: it is too"
            " long to be reported; with the source libvirt they are read"
        )
