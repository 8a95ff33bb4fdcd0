# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a vm from an original image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..model import names
from ..model.checks import boolean, choice, list_of, named, optional, record
from ..model.request import CloneMode, Nic
from .verb import MEMORY, NAME, TAGS, VCPUS, Interrupted, Takes, Verb

MAX_NICS = 16
MAX_KEYS = 64


@dataclass(frozen=True)
class CloneSpec:
    """A vm to be made from an original image. ``None`` means: as in the image, or chosen.

    ``root_password``, a hash of crypt(5), is secret: no repr shows it, so no log and no traceback.
    """

    verb = "clone"
    name: str
    image: str
    host: str | None = None
    clone_mode: CloneMode = CloneMode.LINKED
    pool: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    networks: tuple[Nic, ...] | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    root_password: str | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    start: bool = True

    def without_secrets(self) -> CloneSpec:
        """Return the spec as it may be shown and kept after the request has ended."""
        return replace(self, root_password=None)


# A vm's name becomes its host name.
_vm_name = named(names.vm_name)
nic = record(
    Nic,
    network=optional(NAME),
    bridge=optional(NAME),
    mac=optional(named(names.mac)),
    addresses=list_of(named(names.interface_address), 16),
    gateways=list_of(named(names.address), 2),
    nameservers=list_of(named(names.address), 8),
    search=list_of(_vm_name, 8),
)

CLONE = Verb(
    spec=CloneSpec,
    record=record(
        CloneSpec,
        name=_vm_name,
        image=NAME,
        host=optional(NAME),
        clone_mode=choice(CloneMode),
        pool=optional(NAME),
        vcpus=optional(VCPUS),
        memory_mib=optional(MEMORY),
        networks=optional(list_of(nic, MAX_NICS)),
        ssh_authorized_keys=list_of(named(names.ssh_key), MAX_KEYS),
        root_password=optional(named(names.password_hash)),
        tags=TAGS,
        start=boolean,
    ),
    help="make a vm from an original image",
    interrupted=Interrupted.UNDONE,
    takes=Takes.NEW_VM,
    runs_vm=True,
    base_of=lambda spec: spec.image,
)
