# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain, as all show it. A file of its own: listing needs no more of model/, and an inventory is
read at the start of each command.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from .image import ImageVersion
from .moment import Moment

# Domain UUIDs derive from request ids in this name space, so that the same request can't make two.
_VM_NAMESPACE = uuid.UUID("0d4ee5a0-63a5-4f55-a6cf-2b3f8a1f5f0e")


@dataclass(frozen=True)
class Interface:
    """A network interface of a vm, with the addresses that are known.

    ``network`` is the libvirt network, bridge or device that it is connected to, ``bridge`` that
    one again where it is a bridge. ``link`` is the state of its cable, V(up) or V(down), ``filter``
    its network filter. ``vlan`` are the tags that it says itself, ``virtualport`` the type of
    switch it says that it is connected to.
    """

    mac: str
    network: str | None = None
    addresses: tuple[str, ...] = ()
    bridge: str | None = None
    model: str | None = None
    link: str | None = None
    filter: str | None = None
    vlan: tuple[int, ...] = ()
    virtualport: str | None = None


def vm_uuid(request_id: str) -> str:
    """Return the UUID of the domain that the clone request ``request_id`` makes."""
    return str(uuid.uuid5(_VM_NAMESPACE, request_id))


@dataclass(frozen=True)
class Disk:
    """A disk of a domain; ``source`` is a path, a device, a volume or a URL as libvirt names it.

    ``capacity_bytes`` is what the guest sees, ``allocation_bytes`` what the storage holds. ``name``
    is that of one which is the vm's own, in ``pool``: the one that it was added by, or its target
    where the vm was made with it.
    """

    target: str
    device: str = "disk"
    format: str | None = None
    source: str | None = None
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None
    name: str | None = None
    pool: str | None = None
    bus: str | None = None
    serial: str | None = None
    cache: str | None = None
    discard: str | None = None


@dataclass(frozen=True)
class Graphics:
    """Where a screen of a running vm can be looked at on its host: an address that is listened on
    and ports of it, or a socket. ``type`` is libvirt's word: vnc, spice …
    """

    type: str
    listen: str | None = None
    port: int | None = None
    tls_port: int | None = None
    socket: str | None = None


@dataclass(frozen=True)
class SerialConsole:
    """The serial console of a running vm; ``type`` is libvirt's word (pty, file, unix, tcp …),
    ``path`` what it is on its host.
    """

    type: str
    path: str | None = None


# States of libvirtd.facts.state_name that an active domain may have while its guest does not run.
_STANDING = frozenset({"paused", "suspended", "crashed", "stopping"})


@dataclass(frozen=True)
class Domain:
    """A domain on a host, as lists, results of requests and modules show it. What was not read is
    None or empty.

    ``active``: libvirt runs it, be its guest paused. ``made``: Maglica made it (None: not known,
    which happens to active domains read minimally). ``is_image``: it is an original image, as far
    as is known. ``image``, ``image_version`` and ``request`` are what it was cloned from and by; an
    image that Maglica made has the request by which. ``checksum`` was recorded with an image, of
    its newest version. ``customize`` is the way in which it was made a guest of its own, and
    ``customize_reason`` why so. ``ssh_host_keys`` are the public ones that Maglica gave it.
    ``restart_needed``: ``vcpus`` and ``memory_mib`` are what it has after its next start, as are
    ``next_interfaces``, which are None where they are those that it has now.
    ``asked`` are words for what was asked for when it was made (see verbs.clone). ``adopted``:
    others made it, and Maglica may run and change it; then ``request``, ``created`` and ``who`` are
    of the adoption, and ``foreign_disks`` are its files, removed only if that is asked for.
    ``autostart``: its host starts it (None: not known). ``protected``: no data of it is destroyed.
    ``kept_disks`` are the names of disks that are its own, and not attached. ``boot_order`` says
    from what it is to boot. ``graphics`` and ``console`` are of one that is active.

    Only its reader has ``address``, the one that it prefers, an image's ``versions``, the newest
    last, the definition if asked for, and when
    its host has reported it (None: libvirt itself shows it), with what it surely is alone if there
    was too much of it (``is_cut``). Of one that runs it has
    ``running_vcpus`` and ``running_memory_mib``, what it runs with, where it has looked at the next
    start.
    """

    name: str
    uuid: str
    host: str
    state: str
    active: bool
    made: bool | None = None
    is_image: bool = False
    image: str | None = None
    image_version: str | None = None
    request: str | None = None
    created: Moment | None = None
    who: str | None = None
    clone_mode: str | None = None
    base: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    interfaces: tuple[Interface, ...] = ()
    disks: tuple[Disk, ...] = ()
    tags: tuple[str, ...] = ()
    checksum: str | None = None
    ssh_host_keys: tuple[str, ...] = ()
    restart_needed: bool = False
    customize: str | None = None
    customize_reason: str | None = None
    asked: tuple[str, ...] = ()
    adopted: bool = False
    foreign_disks: tuple[str, ...] = ()
    autostart: bool | None = None
    description: str | None = None
    protected: bool = False
    kept_disks: tuple[str, ...] = ()
    boot_order: tuple[str, ...] = ()
    graphics: tuple[Graphics, ...] = ()
    console: SerialConsole | None = None
    next_interfaces: tuple[Interface, ...] | None = None
    address: str | None = field(default=None, metadata={"told": False})
    running_vcpus: int | None = field(default=None, metadata={"told": False})
    running_memory_mib: int | None = field(default=None, metadata={"told": False})
    versions: tuple[ImageVersion, ...] = field(default=(), metadata={"told": False})
    xml: str | None = field(default=None, metadata={"told": False})
    reported: Moment | None = field(default=None, metadata={"told": False})
    is_cut: bool = field(default=False, metadata={"told": False})

    @property
    def runs(self) -> bool:
        """Whether the guest runs: one that is paused, suspended, crashed or going off is active,
        but does not.
        """
        return self.active and self.state not in _STANDING

    @property
    def later_interfaces(self) -> tuple[Interface, ...]:
        """The interfaces that it has after its next start."""
        return self.interfaces if self.next_interfaces is None else self.next_interfaces

    def sized(self, vcpus: int | None, memory_mib: int | None) -> Domain:
        """Return one that runs on with what it has, and has these sizes after its next start."""
        running = (self.running_vcpus, self.running_memory_mib)
        running = (self.vcpus, self.memory_mib) if running == (None, None) else running
        return replace(
            self,
            vcpus=vcpus,
            memory_mib=memory_mib,
            running_vcpus=running[0],
            running_memory_mib=running[1],
            restart_needed=self.active
            and (running != (vcpus, memory_mib) or self.next_interfaces is not None),
        )

    def without_details(self) -> Domain:
        """Return which domain it is, and its state."""
        return Domain(self.name, self.uuid, self.host, self.state, self.active)
