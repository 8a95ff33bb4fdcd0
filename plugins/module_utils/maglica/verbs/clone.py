# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a vm from an original image."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..model import names, user_data
from ..model.card import Card
from ..model.checks import Check, boolean, choice, list_of, named, optional, record
from ..model.errors import MessageInvalid, NameInvalid
from ..model.plain import plain
from ..model.request import CloneMode, Customize, Nic, User
from .hardware import interfaces, set_boot_order, set_cdrom
from .hardware.disks import FEATURE, MAX_DISKS, NewDisk, check_new, new_disk
from .hardware.set_boot_order import BootDevice
from .hardware.set_cdrom import Medium
from .set import DESCRIPTION
from .verb import (
    DISK_SIZE,
    MEMORY,
    NAME,
    PAUSED,
    SETTINGS,
    TAGS,
    VCPUS,
    VM_NAME,
    Interrupted,
    Takes,
    Verb,
)

MAX_NICS = 16
MAX_KEYS = 64
MAX_GROUPS = 32
# What of an interface is the guest's own.
GUEST_FIELDS = ("addresses", "gateways", "nameservers", "search")


@dataclass(frozen=True)
class CloneSpec:
    """A vm to be made from an original image. ``None`` means: as in the image, or chosen.

    ``hostname`` is the guest's; None: the name. ``disk_size_mib`` is that of the first disk, and
    with it of the guest's root file system.
    ``ssh_authorized_keys`` and ``root_password``, a hash of crypt(5), are root's; ``user`` is made,
    or changed, besides. ``user_data`` is what cloud-init does in the guest beyond what it is told
    of all else here. ``paused``: a vm that is started stands still. The last three are as of a
    vm that is there (see set.py).
    ``disks`` are blank ones that it has beside those of the image; ``cdrom`` is in its drive, where
    NO_MEDIUM is none at all; ``boot_order`` says from what it boots, none: as the image.
    ``interface_devices`` are those of ``interfaces``, each at its place, none: as in the image.

    Passwords and ``user_data`` are secret: no repr shows them, so no log and no traceback.
    """

    verb = "clone"
    name: str
    image: str
    host: str | None = None
    clone_mode: CloneMode = CloneMode.LINKED
    pool: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    interfaces: tuple[Nic, ...] | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    root_password: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    start: bool = True
    hostname: str | None = None
    disk_size_mib: int | None = None
    customize: Customize = Customize.AUTO
    user: User | None = None
    user_data: str | None = field(default=None, repr=False)
    paused: bool = False
    autostart: bool = False
    description: str | None = None
    protected: bool = False
    disks: tuple[NewDisk, ...] = ()
    cdrom: Medium | None = None
    boot_order: tuple[BootDevice, ...] = ()
    interface_devices: tuple[Card, ...] = ()

    @property
    def disk_size(self) -> int:
        """The bytes that the first disk shall have; 0: as many as in the image."""
        return (self.disk_size_mib or 0) << 20

    @property
    def guest_name(self) -> str:
        """The host name inside."""
        return self.hostname or self.name

    def without_secrets(self) -> CloneSpec:
        """Return the spec as it may be shown and kept after the request has ended."""
        user = self.user and replace(self.user, password=None)
        return replace(self, root_password=None, user=user, user_data=None)


# A secret in user data may be easy to guess: so few digits tell that it has changed, and hardly
# help who tries them out.
_DIGITS = {"user_data": 3}


def marks(spec: CloneSpec) -> dict[str, str]:
    """Return a word for each thing that a vm is made with for good, by the names of options: it is
    the same where, and only where, the same was asked for.
    """
    asked = {
        "hostname": spec.guest_name,
        "pool": spec.pool,
        # What is beside this can be changed.
        "interfaces": _in_guest(spec.interfaces or ()),
        "user": spec.without_secrets().user,
        "ssh_authorized_keys": spec.ssh_authorized_keys,
        # What a crypt(5) hash is made of can't be guessed, because of its salt.
        "root_password": spec.root_password,
        "user.password": spec.user and spec.user.password,
        "user_data": spec.user_data,
    }
    return {
        option: f"{option}:{hashlib.sha256(_as_json(value)).hexdigest()[: _DIGITS.get(option, 16)]}"
        for option, value in plain(asked).items()
    }


def _in_guest(nics: Sequence[Nic]) -> list[dict[str, Any]]:
    """Return what is written into a guest of its interfaces, up to the last of which something
    is.
    """
    found = [{name: getattr(nic, name) for name in GUEST_FIELDS} for nic in nics]
    while found and not any(found[-1].values()):
        del found[-1]
    return found


def _as_json(value: Any) -> bytes:
    """Return ``value`` without fields that say nothing, so that one which is new changes none."""
    if isinstance(value, list):
        value = [json.loads(_as_json(each)) for each in value]
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if each not in (None, [])}
    return json.dumps(value, sort_keys=True).encode()


_host_name = named(names.guest_name)
nic = record(
    Nic,
    network=optional(NAME),
    bridge=optional(NAME),
    mac=optional(named(names.mac)),
    addresses=list_of(named(names.interface_address), 16),
    gateways=list_of(named(names.address), 2),
    nameservers=list_of(named(names.address), 8),
    search=list_of(_host_name, 8),
)
user = record(
    User,
    name=optional(named(names.user_name)),
    groups=list_of(named(names.user_name), MAX_GROUPS),
    sudo=optional(named(names.sudo_rule)),
    shell=optional(named(names.shell)),
    ssh_authorized_keys=list_of(named(names.ssh_key), MAX_KEYS),
    password=optional(named(names.password_hash)),
)

_FIELDS = record(
    CloneSpec,
    name=VM_NAME,
    image=NAME,
    host=optional(NAME),
    clone_mode=choice(CloneMode),
    pool=optional(NAME),
    vcpus=optional(VCPUS),
    memory_mib=optional(MEMORY),
    interfaces=optional(list_of(nic, MAX_NICS)),
    ssh_authorized_keys=list_of(named(names.ssh_key), MAX_KEYS),
    root_password=optional(named(names.password_hash)),
    tags=TAGS,
    start=boolean,
    hostname=optional(_host_name),
    disk_size_mib=optional(DISK_SIZE),
    customize=choice(Customize),
    user=optional(user),
    user_data=optional(named(user_data.user_data)),
    paused=boolean,
    autostart=boolean,
    description=optional(DESCRIPTION),
    protected=boolean,
    disks=list_of(new_disk, MAX_DISKS),
    cdrom=optional(set_cdrom.medium_or_none),
    boot_order=set_boot_order.BOOT_ORDER,
    interface_devices=list_of(interfaces.card, MAX_NICS),
)


def _read(value: Any, path: str) -> CloneSpec:
    spec: CloneSpec = _FIELDS.read(value, path)
    if spec.hostname is None and spec.customize is not Customize.NONE:
        try:
            names.guest_name(spec.name)
        except NameInvalid as error:
            raise MessageInvalid(f"{path}.hostname: needed, since {error}") from None
    _check_customize(spec, path)
    for index, disk in enumerate(spec.disks):
        check_new(disk, f"{path}.disks[{index}]")
    if len({disk.name for disk in spec.disks}) < len(spec.disks):
        raise MessageInvalid(f"{path}.disks: two have one name")
    if len(spec.interface_devices) > len(spec.interfaces or ()):
        raise MessageInvalid(f"{path}.interface_devices: more than interfaces")
    for index, each in enumerate(spec.interfaces or ()):
        _check_gateways(each, f"{path}.interfaces[{index}].gateways")
    return spec


def _check_gateways(nic: Nic, path: str) -> None:
    """Raise MessageInvalid for gateways of which a guest could not use each as the default one."""
    versions = [ipaddress.ip_address(each).version for each in nic.gateways]
    if len(set(versions)) < len(versions):
        raise MessageInvalid(f"{path}: more than one for IPv{versions[0]}")
    own = {ipaddress.ip_interface(each).version for each in nic.addresses}
    for version in versions if own else ():
        if version not in own:
            raise MessageInvalid(f"{path}: one for IPv{version}, of which there is no address")


def _check_customize(spec: CloneSpec, path: str) -> None:
    """Raise MessageInvalid for what can't be done in the way that is asked for."""
    way = spec.customize
    if spec.user_data is not None and way not in (Customize.AUTO, Customize.CLOUD_INIT):
        raise MessageInvalid(
            f"{path}.user_data: only cloud-init reads it, not customize {way.value}"
        )
    is_root = spec.user is not None and spec.user.name == "root"
    if is_root and (spec.ssh_authorized_keys or spec.root_password is not None):
        raise MessageInvalid(
            f"{path}.user: it is root, whose keys and password are said beside it, too: say them in"
            " one place"
        )
    if way is not Customize.NONE:
        return
    for index, each in enumerate(spec.interfaces or ()):
        if each.addresses:
            raise MessageInvalid(f"{path}.interfaces[{index}].addresses: {_NOTHING_WRITTEN}")
    for name in ("hostname", "user", "ssh_authorized_keys", "root_password"):
        if getattr(spec, name):
            raise MessageInvalid(f"{path}.{name}: {_NOTHING_WRITTEN}")


_NOTHING_WRITTEN = "customize none writes nothing into the guest"


# A name that is no host name needs one beside it, if anything is written into the guest.
_NAMED = [
    {"properties": {"name": {"type": "string", **names.FORMS[names.guest_name]}}},
    {"properties": {"hostname": {"type": "string"}}, "required": ["hostname"]},
    {"properties": {"customize": {"const": Customize.NONE.value}}, "required": ["customize"]},
]

CLONE = Verb(
    spec=CloneSpec,
    record=Check(_read, {**_FIELDS.schema, "anyOf": _NAMED}),
    help="make a vm from an original image",
    interrupted=Interrupted.UNDONE,
    takes=Takes.NEW_VM,
    runs_vm=True,
    base_of=lambda spec: spec.image,
    later={
        "paused": PAUSED,
        **dict.fromkeys(("autostart", "description", "protected"), SETTINGS),
        **{"disks": FEATURE, "cdrom": set_cdrom.FEATURE, "boot_order": set_boot_order.FEATURE},
        "interface_devices": interfaces.FEATURE,
    },
)
