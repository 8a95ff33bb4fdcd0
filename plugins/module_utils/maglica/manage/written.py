# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be written into the guest of a new vm, as a diff shows it: without secrets. Pure."""

from __future__ import annotations

from typing import Any

from ..model import user_data
from ..model.card import Card
from ..model.errors import GuestUnsupported
from ..model.plain import plain
from ..model.request import Customize, HostStatus, Nic, User
from ..verbs.clone import CloneSpec
from ..verbs.hardware import add_disk, disks
from ..verbs.hardware.interfaces import promised

HIDDEN = "(hidden)"


def of(spec: CloneSpec) -> dict[str, Any]:
    """Return how the guest is to be customized, its interfaces, its further disks and all that it
    is told, by the options' names.
    """
    found: dict[str, Any] = {"customize": spec.customize.value}
    found.update((f"disk {disk.name}", add_disk.shown(disk)) for disk in spec.disks)
    if spec.cdrom is not None:
        found["cdrom"] = spec.cdrom.source
    if spec.boot_order:
        found["boot_order"] = [each.value for each in spec.boot_order]
    if spec.interfaces is not None:
        cards = (*spec.interface_devices, *[Card()] * len(spec.interfaces))
        told = zip(spec.interfaces, cards)
        found["interfaces"] = [
            {**_without_nothing(nic), **_without_nothing(card)} for nic, card in told
        ]
    if spec.customize is Customize.NONE:
        return found
    given = {
        "hostname": spec.guest_name,
        "ssh_authorized_keys": list(spec.ssh_authorized_keys) or None,
        "root_password": None if spec.root_password is None else HIDDEN,
        "user": None if spec.user is None else _user(spec.user),
        "user_data": None if spec.user_data is None else HIDDEN,
    }
    return {**found, **{key: value for key, value in given.items() if value is not None}}


def hardware(spec: CloneSpec) -> dict[str, Any]:
    """Return the disks, the interfaces and the boot order of a new vm as far as they are known
    beforehand.
    """
    order = tuple(each.value for each in spec.boot_order)
    further = disks.all_promised(spec.disks, spec.cdrom)
    nics = promised(spec.interfaces or (), spec.interface_devices)
    return {"disks": further, "boot_order": order, "interfaces": nics}


def way(spec: CloneSpec, host: str, status: HostStatus | None) -> dict[str, Any]:
    """Return how the guest would be customized on a host where that is for the image to say, and
    why so, as far as it is known.
    """
    if spec.customize is not Customize.AUTO:
        return {}
    look = status.report.look_at(spec.image) if status else None
    if look is None:
        reason = (
            f"nobody has looked at image {spec.image} on host {host} yet: maglica_image_info with"
            " inspect: true does"
        )
        return {"customize_reason": reason}
    chosen = {} if look.way is None else {"customize": look.way.value}
    return {**chosen, "customize_reason": look.reason}


def against(spec: CloneSpec, host: str, status: HostStatus | None) -> GuestUnsupported | None:
    """Return what a host would have against the clone by its last look at the image's guest, if the
    image is known to be as it was then.
    """
    look = status.report.look_at(spec.image) if status else None
    if look is None or not look.current or spec.customize is Customize.NONE:
        return None
    is_offline = look.way is Customize.OFFLINE
    by_cloud_init = look.way is Customize.CLOUD_INIT and spec.customize is not Customize.OFFLINE
    if not look.customizable:
        why = look.reason
    elif is_offline and spec.customize is Customize.CLOUD_INIT:
        why = f"it can't be customized by cloud-init: {look.reason}"
    elif is_offline and spec.customize is Customize.AUTO and spec.user_data is not None:
        why = f"user_data is for cloud-init, and it is customized offline, since {look.reason}"
    elif by_cloud_init and (in_vain := user_data.problem_of(spec.user)) is not None:
        why = in_vain
    else:
        return None
    return GuestUnsupported(f"cannot clone {spec.name} from {spec.image} on host {host}: {why}")


def _user(user: User) -> dict[str, Any]:
    hidden = {} if user.password is None else {"password": HIDDEN}
    return {**_without_nothing(user), **hidden}


def _without_nothing(value: Nic | Card | User) -> dict[str, Any]:
    return {key: each for key, each in plain(value).items() if each not in (None, [])}
