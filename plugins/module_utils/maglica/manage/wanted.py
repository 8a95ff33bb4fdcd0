# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a vm shall be, in the form in which the client worker has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..model import names, user_data
from ..model.errors import HostUnknown, MessageInvalid, NameInvalid, NameTaken
from ..model.plain import plain
from ..model.request import CloneMode, Customize, Nic
from ..verbs.clone import CLONE, CloneSpec
from ..verbs.hardware import disks as disk_verbs
from ..verbs.hardware import interfaces as interface_verbs
from ..verbs.hardware import set_boot_order, set_cdrom
from ..verbs.hardware.disks import WantedDisk
from ..verbs.hardware.interfaces import WantedInterface
from ..verbs.hardware.set_boot_order import BootDevice
from ..verbs.hardware.set_cdrom import WantedMedium
from ..verbs.table import Presence
from ..verbs.verb import ENDING, Verb

# Options that have another name than the field.
_OPTION = {"memory_mib": "memory", "disk_size_mib": "disk_size"}
# In place of an image, or of a host name, where none is named and no vm is made.
_ANY = "any"


@dataclass(frozen=True)
class Wanted:
    """A vm as the user wants it; ``want`` makes it, and checks all that is in it.

    ``clone`` is what is asked for when the vm is not there. Of one that is there, its ``vcpus``,
    ``memory_mib`` and ``clone_mode`` count: what is None stays as it is, a linked vm that shall be
    full is flattened, a full one stays so. Without an ``image`` the vm must be there.
    ``clone_mode`` is None where it is not said, though a new vm is linked then.
    ``tags`` are all that it shall have; None: those that it has. ``stop_timeout`` is in seconds.
    ``new``: the vm must not be there yet. ``allow_restart``: one that runs is restarted for what it
    can't have otherwise. ``disks`` and ``interfaces`` are those that are spoken of; all others stay
    as they are.
    ``adopt``: one that others made is taken over, or, if it is False, given
    back. ``remove_foreign_disks``: one that was adopted is removed with its files. The last three
    are None where they are not said; an empty ``description`` is none.
    """

    clone: CloneSpec
    state: Presence = Presence.PRESENT
    image: str | None = None
    tags: tuple[str, ...] | None = None
    force: bool = False
    stop_timeout: int = 120
    new: bool = False
    clone_mode: CloneMode | None = None
    allow_restart: bool = False
    adopt: bool | None = None
    remove_foreign_disks: bool = False
    autostart: bool | None = None
    description: str | None = None
    protected: bool | None = None
    disks: tuple[WantedDisk, ...] = ()
    cdrom: WantedMedium | None = None
    boot_order: tuple[BootDevice, ...] = ()
    interfaces: tuple[WantedInterface, ...] = ()

    @property
    def name(self) -> str:
        return self.clone.name

    @property
    def host(self) -> str | None:
        return self.clone.host

    def named(self, name: str, hostname: str | None) -> Wanted:
        """Return the same for a vm of other names."""
        return replace(self, clone=replace(self.clone, name=name, hostname=hostname))

    def once_done(self, verb: Verb) -> Wanted:
        """Return what is left to want when a request of this verb has done its part."""
        is_restarted = verb.makes_vm or verb.state == Presence.RESTARTED
        if self.state is Presence.RESTARTED and is_restarted:
            return replace(self, state=Presence.RUNNING)
        return self


def want(
    name: str,
    state: Presence = Presence.PRESENT,
    *,
    image: str | None = None,
    tags: Iterable[str] | None = None,
    force: bool = False,
    stop_timeout: int = 120,
    new: bool = False,
    allow_restart: bool = False,
    adopt: bool | None = None,
    remove_foreign_disks: bool = False,
    autostart: bool | None = None,
    description: str | None = None,
    protected: bool | None = None,
    disks: Sequence[Any] = (),
    cdrom: Any = None,
    boot_order: Sequence[Any] | None = None,
    interfaces: Sequence[Any] | None = None,
    **clone: Any,
) -> Wanted:
    """Return what is wanted, of ``clone`` the fields of CloneSpec, also as plain data; what is None
    there is not said.

    Raises NameInvalid, which names the parameter, or NameTaken.
    """
    names.domain_name(name)
    if name == image:
        raise NameTaken(f"vm {name} can't have the name of the original image itself")
    given = None if tags is None else tuple(sorted(set(tags)))
    said = {field: value for field, value in clone.items() if value is not None}
    noted: dict[str, Any] = {
        "autostart": autostart,
        "description": description,
        "protected": protected,
    }
    if adopt is not None:
        several = {"disks": disks, "boot_order": boot_order, "interfaces": interfaces}
        devices = {"cdrom": cdrom, **{name: each or None for name, each in several.items()}}
        others = {"image": image, "tags": given, **noted, **said, **devices}
        _check_adoption(adopt, state, others)
    fields: dict[str, Any] = {
        **said,
        "name": name,
        "image": _ANY if image is None else image,
        "tags": given or (),
        "start": state is not Presence.STOPPED,
        "paused": state is Presence.PAUSED,
        "autostart": bool(autostart),
        "description": description,
        "protected": bool(protected),
    }
    makes_none = image is None or state is Presence.ABSENT
    if makes_none and said.get("customize") != Customize.NONE:
        fields.setdefault("hostname", _ANY)
    try:
        asked = disk_verbs.wanted(disks or ())
        medium, order = set_cdrom.wanted(cdrom), set_boot_order.wanted(boot_order)
        fields["cdrom"] = medium and (medium.medium or set_cdrom.NO_MEDIUM)
        fields["boot_order"] = order
        fields["disks"] = disk_verbs.new_ones(asked) if image else ()
        nics, fields["interfaces"], fields["interface_devices"] = interface_verbs.split(interfaces)
        spec: CloneSpec = CLONE.record(plain({**_DEFAULTS, **fields}), "")
        ENDING["stop_timeout"](stop_timeout, "stop_timeout")
    except MessageInvalid as error:
        # The user knows the parameter, and no message.
        raise NameInvalid(_in_options(str(error).lstrip("."))) from None
    spec = replace(spec, hostname=said.get("hostname"))
    _check_interfaces(spec.interfaces or ())
    in_vain = user_data.problem_of(spec.user) if spec.customize is Customize.CLOUD_INIT else None
    if in_vain is not None:
        raise NameInvalid(f"user: {in_vain}")
    mode = spec.clone_mode if "clone_mode" in said else None
    wanted = Wanted(spec, state, image, given, force, stop_timeout, new, mode, allow_restart)
    wanted = replace(wanted, disks=asked, cdrom=medium, boot_order=order, interfaces=nics)
    wanted = replace(wanted, adopt=adopt, remove_foreign_disks=remove_foreign_disks)
    return replace(wanted, **noted)


# What can be asked for of a vm that is there, and of none that is given back.
_OF_OURS = (
    *("image", "tags", "vcpus", "memory_mib", "disk_size_mib", "clone_mode"),
    *("autostart", "description", "protected"),
    *("disks", "cdrom", "boot_order", "interfaces"),
)


def _check_adoption(adopt: bool, state: Presence, said: Mapping[str, Any]) -> None:
    """Raise NameInvalid for what makes no sense beside an adoption, or its end."""
    others = [_OPTION.get(name, name) for name in _OF_OURS if said.get(name) is not None]
    if adopt and state is Presence.ABSENT:
        raise NameInvalid("adopt: a vm is not taken over to be removed: adopt it first")
    if adopt and "image" in others:
        raise NameInvalid("adopt: it takes over a vm that is there, which no image is needed for")
    if not adopt and (others or state is not Presence.PRESENT):
        what = " and ".join([*(["state"] if state is not Presence.PRESENT else []), *others])
        raise NameInvalid(
            f"adopt: with adopt=false a vm is given back as it is: leave out {what}, or ask for"
            " that in a task before"
        )


def _in_options(text: str) -> str:
    """Return an error's text with the names that the options have, in the place of the fields'."""
    for field, option in _OPTION.items():
        text = text.replace(f"{field}:", f"{option}:")
    return text.replace(".size_mib:", ".size:").replace(".card.", ".")


_DEFAULTS = plain(CloneSpec("", ""))


def _check_interfaces(interfaces: Sequence[Nic]) -> None:
    for index, nic in enumerate(interfaces):
        if nic.network and nic.bridge:
            raise NameInvalid(f"interfaces[{index}]: names both a network and a bridge")
        if not nic.addresses and (nic.gateways or nic.nameservers or nic.search):
            raise NameInvalid(
                f"interfaces[{index}]: gateways, nameservers and search need an address there, too"
            )


def check_host(wanted: Wanted, known: Sequence[str]) -> None:
    """Raise HostUnknown unless the host that is named is one of ``known``."""
    if wanted.host is not None and wanted.host not in known:
        raise HostUnknown(f"there is no host {wanted.host}; there are {', '.join(sorted(known))}")
