# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that the components exchange: frozen; names of sizes say if they are bytes or MiB."""

from __future__ import annotations

import enum
import shlex
import uuid
from dataclasses import dataclass, field
from typing import Protocol

from .moment import NEVER, Moment
from .reported import PoolState
from .vm import Domain


class State(str, enum.Enum):
    """Where a request stands; see docs/protocol.md for who moves it."""

    QUEUED = "queued"
    SENT = "sent"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (State.DONE, State.FAILED, State.CANCELLED)


class Role(str, enum.Enum):
    """What the owner of a key may do."""

    CLIENT = "client"
    OBSERVER = "observer"
    HOST = "host"


class CloneMode(str, enum.Enum):
    """Whether a vm's disks are overlays of the base or full copies of it."""

    LINKED = "linked"
    FULL = "full"


class Customize(str, enum.Enum):
    """How a clone is made a guest of its own."""

    # By cloud-init where the image obeys it, else offline where its family is known.
    AUTO = "auto"
    CLOUD_INIT = "cloud-init"
    OFFLINE = "offline"
    # New MAC addresses, UUID and disks, and nothing else.
    NONE = "none"


@dataclass(frozen=True)
class Nic:
    """One network interface as asked for; no addresses means DHCP."""

    network: str | None = None
    bridge: str | None = None
    mac: str | None = None
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


@dataclass(frozen=True)
class User:
    """A user of a new vm. None, or nothing: as the image has it, or as its system chooses.

    Without ``name`` it is the image's own user, with cloud-init, and root without. ``groups`` are
    all beside its own one, ``sudo`` is a rule of sudoers(5) without the user
    (``ALL=(ALL) NOPASSWD:ALL``), ``password`` a hash of crypt(5).
    """

    name: str | None = None
    groups: tuple[str, ...] = ()
    sudo: str | None = None
    shell: str | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)


class Spec(Protocol):
    """What a request asks for. Each verb has a class of its own, in verbs/."""

    @property
    def verb(self) -> str: ...

    @property
    def name(self) -> str:
        """The name of the vm or image that it is about."""

    @property
    def host(self) -> str | None: ...

    def without_secrets(self) -> Spec:
        """Return the spec as it may be shown and kept after the request has ended."""


@dataclass(frozen=True)
class Phase:
    """A named part of a request's work and how long it took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a request failed: an error's code and its text."""

    code: str
    text: str


@dataclass(frozen=True)
class Request:
    """A request as the client worker's journal knows it.

    ``version`` grows by one with each change, so that a waiting client can ask for what is newer.
    ``who`` is the name that the submitting key has in the access file. ``parent`` is the request
    that this one is a part of, ``peer`` a second host that it needs. ``done`` of ``total`` bytes or
    steps of the phase are over.
    """

    id: str
    kind: str = field(init=False)
    spec: Spec
    state: State = State.QUEUED
    host: str | None = None
    who: str = ""
    version: int = 1
    created: Moment = NEVER
    updated: Moment = NEVER
    phase: str | None = None
    phases: tuple[Phase, ...] = ()
    cancelling: bool = False
    failure: Failure | None = None
    vm: Domain | None = None
    parent: str | None = None
    peer: str | None = None
    done: int | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.spec.verb)

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True)
class DomainSummary:
    """What placement must know of a domain. ``memory_mib`` is what it takes at most: while it runs
    of what it was started with, else of its definition. ``disk_bytes`` is what a copy of its disks
    may take; block devices, which don't tell, count nothing. ``first_disk_bytes`` is what a
    guest sees of an image's first disk, 0 if that is not known.

    ``made``: Maglica made it as a vm. ``may_be_image``: Maglica made it as an image, or it is
    persistent and the host's ``image_pattern`` does not exclude its name; its definition can be
    read.
    """

    name: str
    uuid: str
    active: bool
    may_be_image: bool
    made: bool
    vcpus: int
    memory_mib: int
    disk_bytes: int = 0
    first_disk_bytes: int = 0

    @property
    def is_image(self) -> bool:
        return self.may_be_image and not self.active and not self.made


@dataclass(frozen=True)
class PoolSummary:
    """A storage pool of files. ``shared`` is the type of its file system if other hosts may see the
    same files: then it can't hold vms' disks.
    """

    name: str
    capacity_bytes: int
    free_bytes: int
    shared: str | None = None


@dataclass(frozen=True)
class Leftover:
    """A file whose name looks like Maglica's, and which nothing shows to be: it stays.

    ``pool`` is the storage pool whose volume it is, if it is one.
    """

    path: str
    pool: str | None
    allocated_bytes: int

    @property
    def command(self) -> str:
        """What removes it, to be run in a shell of that host by somebody who has looked at it."""
        if self.pool is None:
            return shlex.join(["rm", "--", self.path])
        name = self.path.rpartition("/")[2]
        return shlex.join(["virsh", "vol-delete", "--pool", self.pool, "--vol", name])


@dataclass(frozen=True)
class BaseSummary:
    """A base that is ready. ``version`` names the state of the image's disks that it was made from.

    ``current``: whether the image is in that state now; None when that can't be told, because the
    image runs or is gone. ``areas``: whether clones of it need no appliance. ``vms`` counts the
    vms that build upon it. ``way`` is how clones are customized that do.
    """

    id: str
    image: str
    version: str
    pool: str
    allocated_bytes: int
    created: Moment
    current: bool | None
    areas: bool
    vms: int
    way: Customize = Customize.OFFLINE


@dataclass(frozen=True)
class LookSummary:
    """What a look at that ``version`` of an image found of its guest, and of how clones of it are
    customized.

    ``customizable``: they can be; ``way`` is how, where nothing is asked for, and ``reason`` is why
    so, or why not. ``current``: as of a base. ``distro`` and ``release`` are the guest's own words,
    ``stack`` configures its network, ``layout`` is the file system at / and what it lies on; empty
    where that is not known.
    """

    image: str
    version: str
    customizable: bool
    reason: str | None
    current: bool | None
    way: Customize | None = None
    distro: str = ""
    release: str = ""
    stack: str = ""
    layout: str = ""


@dataclass(frozen=True)
class ImageSummary:
    """What is recorded of an original image in its definition; others are domains only.

    ``checksum`` and ``origin`` are those of its newest version, None if that is not known;
    ``versions`` counts all that are recorded. ``made``: Maglica made it.
    """

    name: str
    uuid: str
    made: bool
    checksum: str | None
    origin: str | None
    versions: int


@dataclass(frozen=True)
class HostReport:
    """What a host says of itself. ``problem``: why it can't work now. ``taken`` is when it began to
    look. ``net_devices`` has any bridge; None: not known. From ``uri`` on see ReportedHost."""

    cpus: int = 0
    memory_total_mib: int = 0
    memory_free_mib: int = 0
    domains: tuple[DomainSummary, ...] = ()
    pools: tuple[PoolSummary, ...] = ()
    networks: tuple[str, ...] = ()
    bases: tuple[BaseSummary, ...] = ()
    problem: str | None = None
    leftovers: tuple[Leftover, ...] = ()
    looks: tuple[LookSummary, ...] = ()
    images: tuple[ImageSummary, ...] = ()
    taken: Moment = NEVER
    net_devices: tuple[str, ...] | None = None
    uri: str | None = None
    hostname: str | None = None
    libvirt_version: str | None = None
    hypervisor_version: str | None = None
    pool_states: tuple[PoolState, ...] = ()
    libvirt_error: str | None = None
    problems: tuple[str, ...] = ()

    def base_of(self, image: str, asked: Customize = Customize.AUTO) -> BaseSummary | None:
        """Return the base that a clone of ``image`` finds made, as far as that can be told.

        It is to be customized as ``asked``.
        """
        way: Customize | None = asked
        if asked is Customize.AUTO:
            look = self.look_at(image)
            way = look.way if look else None
        usable = [
            base
            for base in self.bases
            if base.image == image and base.current is not False and way in (None, base.way)
        ]
        return max(usable, key=lambda base: (base.current is True, base.created), default=None)

    def look_at(self, image: str) -> LookSummary | None:
        """Return what is known of the guest of ``image``, as far as the image is as it was then."""
        known = (look for look in self.looks if look.image == image)
        return next((look for look in known if look.current is not False), None)


@dataclass(frozen=True)
class HostStatus:
    """A host as the client worker sees it; ``seen`` is when its last hello came, if any, and
    ``worker_version`` that of its host worker."""

    host: str
    alive: bool
    seen: Moment | None
    weight: float
    report: HostReport
    worker_version: str | None = None


@dataclass(frozen=True)
class Placement:
    """The host that a clone would be made on, and its load for its weight with that clone."""

    host: str
    load: float


def new_request_id() -> str:
    """Return a fresh request id, to be kept for all retries."""
    return str(uuid.uuid4())
