# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One vm in the making: the steps of its clone, each announced in the journal before it acts."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...._deps import need
from ....disk import chain, nvram, partitions, pools, volumes
from ....disk.backend import Pool
from ....disk.chain import Chain
from ....disk.room import OVERLAY_BYTES
from ....domain import clone, definition
from ....domain.disks import FurtherDisk
from ....domain.metadata import OwnVolume
from ....domain.power import Act
from ....guest import ssh_keys
from ....guest.appliance.appliance import Drive
from ....guest.clone_plan import plan
from ....guest.cloud_init.facts import SeedFacts
from ....guest.customize import Guest
from ....guest.facts import GuestFacts
from ....guest.identity import Identity, NicIdentity
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import GuestUnsupported, LibvirtFailed, NameTaken, StorageFailed
from ....model.plain import plain
from ....model.request import CloneMode, Nic
from ....model.vm import Domain
from ....verbs.clone import marks
from ....verbs.hardware.disks import NewDisk
from ...journal.bases import Base
from ...journal.intents import Effect
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext, key_folder
from ..image.original import Image
from . import disk_size, remove, seed, shown
from .hardware import interfaces, set_cdrom
from .new_vm import NewVm
from .power.steps import take

_SEED_BYTES = 512
_DAY = 86400


def check(vm: NewVm, image: Image, context: JobContext) -> None:
    """Find out, before anything is made, what can't work.

    Raises NameTaken, NameInvalid, ImageUnsupported, GuestUnsupported or DiskSizeUnsupported.
    """
    seed.check(vm.spec)
    set_cdrom.check(vm.spec.cdrom, context)
    interfaces.check_new(vm.spec, context)
    libvirt = need("libvirt")
    try:
        context.connect().lookupByName(vm.spec.name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            failure = local.kind_of(error, LibvirtFailed)
            raise failure(f"its name can't be looked up: {error}") from error
    else:
        raise NameTaken(f"a domain named {vm.spec.name} is there already")
    for nic in vm.spec.interfaces or ():
        if not nic.addresses and (nic.gateways or nic.nameservers or nic.search):
            raise GuestUnsupported("gateways and nameservers need an address of the same interface")
    clone.check(image.xml, clone.are_own(vm.spec.interfaces))
    disk_size.check(vm.spec, image.chains)


@dataclass(frozen=True)
class Source:
    """What the vms of a batch are made from: the base's disks by target, and the pools there are.

    ``allocated`` is the sum of the bytes in its files. ``taken`` are the bytes by pool that copies
    which are still to be made will take.
    """

    base: Base
    chains: dict[str, Chain]
    pools: tuple[Pool, ...]
    taken: dict[str, int] = field(default_factory=dict)
    _head: list[bytes] = field(default_factory=list, repr=False)

    @property
    def allocated(self) -> int:
        return sum(map(chain.allocated_bytes, self.chains.values()))

    def head(self, pool: Pool) -> bytes:
        """Return the first bytes of the first disk, read once. Raises StorageFailed."""
        if not self._head:
            layers = next(iter(self.chains.values()))
            self._head.append(pool.head(layers, partitions.HEAD))
        return self._head[0]


def source(base: Base, context: JobContext) -> Source:
    """Look at the base and the pools, once for a batch. Raises StorageFailed, ImageUnsupported."""
    chains = {disk.target: chain.inspect(disk.path, disk.format, ()) for disk in base.disks}
    known = pools.pools(context.connect(), context.settings.pools)
    return Source(base, chains, known)


def place(
    vm: NewVm, source: Source, image: Image, macs: dict[str, str], context: JobContext
) -> None:
    """Choose where the vm's volumes are made, and announce them; add its MAC addresses to ``macs``,
    those that are taken.

    Raises NoRoom, StorageFailed or DiskSizeUnsupported.
    """
    is_linked = vm.spec.clone_mode is CloneMode.LINKED
    needed = OVERLAY_BYTES + (0 if is_linked else source.allocated)
    free = pools.with_free(source.pools, source.taken)
    vm.pool = pools.choose(free, needed, vm.spec.pool, vm.spec.disk_size)
    head = partial(source.head, vm.pool)
    vm.growth = disk_size.growth_of(vm.spec, source.chains, source.base, head)
    if not is_linked:
        source.taken[vm.pool.name] = source.taken.get(vm.pool.name, 0) + needed
    for target in source.chains:
        volume = vm.pool.volume(target, volumes.of_vm(vm.spec.name, target, vm.uuid))
        vm.pool.check_free(volume)
        context.journal.intend(vm.request.id, Effect.VOLUME, asdict(volume))
        vm.volumes[target] = volume
    _place_further(vm, free, context)
    if source.base.seed is not None:
        seed.place(vm, image, context)
    stated = image.definition.nvram
    vm.image_nvram = stated or nvram.hidden_path(image.xml, context.connect())
    vm.xml = clone.clone(image.xml, replace(_plan(vm, source, image, context), taken_macs=macs))
    macs.update((each.mac, vm.spec.name) for each in definition.describe(vm.xml).interfaces)


def _place_further(vm: NewVm, free: Sequence[Pool], context: JobContext) -> None:
    """Choose where the disks are made that the image has not, and announce them."""
    for disk in vm.spec.disks:
        pool = pools.choose(free, 0, disk.pool or vm.pool.name, (disk.size_mib or 0) << 20)
        volume = pool.volume(disk.name, volumes.of_disk(vm.spec.name, disk.name, vm.uuid))
        pool.check_free(volume)
        context.journal.intend(vm.request.id, Effect.VOLUME, asdict(volume))
        vm.further[disk.name] = (pool, volume)


def copy(vm: NewVm, source: Source, connection: Any, context: JobContext) -> None:
    """Make the vm's volumes: overlays of the base, or full copies of it, the first one as large as
    it shall be. May run in any thread.

    Raises NoRoom or StorageFailed.
    """
    for target, layers in source.chains.items():
        if vm.spec.clone_mode is CloneMode.LINKED:
            vm.pool.overlay(connection, vm.volumes[target], layers)
        else:
            folder = context.settings.state_dir
            vm.pool.copy(connection, vm.volumes[target], layers, folder, context.alive)
    for disk in vm.spec.disks:
        pool, volume = vm.further[disk.name]
        pool.blank(connection, volume, (disk.size_mib or 0) << 20)
    if vm.growth is not None:
        target, _size = disk_size.first(source.chains)
        vm.pool.grow(vm.volumes[target], vm.growth.size, vm.growth.patches)


def _plan(vm: NewVm, source: Source, image: Image, context: JobContext) -> clone.ClonePlan:
    return clone.ClonePlan(
        name=vm.spec.name,
        uuid=vm.uuid,
        image=vm.spec.image,
        request=vm.request.id,
        created=int(time.time()),
        who=vm.request.who,
        clone_mode=vm.spec.clone_mode,
        disks={target: _disk(vm, target, source) for target in vm.volumes},
        interfaces=vm.spec.interfaces,
        interface_devices=vm.spec.interface_devices,
        vcpus=vm.spec.vcpus,
        memory_mib=vm.spec.memory_mib,
        image_nvram=vm.image_nvram,
        image_version=source.base.version,
        tags=vm.spec.tags,
        base=source.base.id if vm.spec.clone_mode is CloneMode.LINKED else None,
        seed=None if vm.seed is None else vm.pool.medium_source(vm.seed),
        image_seeds=() if vm.seed is None else seed.of_image(image, context),
        customize=(vm.chosen.way, vm.chosen.reason),
        asked=tuple(marks(replace(vm.spec, pool=vm.pool.name)).values()),
        description=vm.spec.description,
        protected=vm.spec.protected,
        medium=None if vm.spec.cdrom is None else set_cdrom.source(vm.spec.cdrom),
        boot_order=[each.value for each in vm.spec.boot_order],
        further={disk.name: _further(vm, disk) for disk in vm.spec.disks},
    )


def _further(vm: NewVm, disk: NewDisk) -> tuple[FurtherDisk, clone.DiskSource]:
    pool, volume = vm.further[disk.name]
    source = replace(pool.source(volume), size=(disk.size_mib or 0) << 20)
    modes = (plain(disk.cache), plain(disk.discard))
    serial = disk.serial or disk.name
    return FurtherDisk(source.path, source.format, disk.bus.value, serial, *modes), source


def _disk(vm: NewVm, target: str, source: Source) -> clone.DiskSource:
    size = source.chains[target][0].size
    if vm.growth is not None and target == disk_size.first(source.chains)[0]:
        size = vm.growth.size
    return replace(vm.pool.source(vm.volumes[target]), size=size)


def make_keys(vm: NewVm, base: Base, context: JobContext) -> None:
    """Make the SSH host keys of the types that the image had. May run in any thread.

    Raises StorageFailed.
    """
    facts = base.facts or base.seed
    if facts is None:
        return
    folder = key_folder(context, vm.request.id)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        vm.host_keys = ssh_keys.host_keys(facts.ssh_host_keys, vm.spec.guest_name, folder)
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageFailed(f"SSH host keys can't be made in {folder}: {error.strerror}") from error


def guest(vm: NewVm, facts: GuestFacts, base: Base) -> Guest:
    """Return what is to be edited on the vm's disks. Raises GuestUnsupported."""
    drives = tuple(Drive(vm.volumes[disk.target].path, vm.pool.FORMAT) for disk in base.disks)
    return Guest(vm.request.id, drives, plan(facts, _identity(vm)))


def write_seed(vm: NewVm, facts: SeedFacts, connection: Any) -> None:
    """Make the medium that tells the vm's cloud-init who it is. May run in any thread.

    Raises NoRoom, StorageFailed, GuestUnsupported, NameInvalid or DependencyMissing.
    """
    seed.write(vm, _identity(vm), facts, connection)


def _identity(vm: NewVm) -> Identity:
    macs = [interface.mac for interface in definition.describe(vm.xml).interfaces]
    wanted = vm.spec.interfaces if vm.spec.interfaces is not None else [Nic() for _turn in macs]
    return Identity(
        hostname=vm.spec.guest_name,
        machine_id=uuid.uuid4().hex,
        nics=tuple(
            NicIdentity(mac, nic.addresses, nic.gateways, nic.nameservers, nic.search)
            for mac, nic in zip(macs, wanted)
        ),
        host_keys=vm.host_keys,
        random_seed=os.urandom(_SEED_BYTES),
        authorized_keys=vm.spec.ssh_authorized_keys,
        root_password=vm.spec.root_password,
        day=int(time.time()) // _DAY,
        user=vm.spec.user,
    )


def announce(vm: NewVm, context: JobContext) -> None:
    """Do what comes before the definition. Raises NoRoom, StorageFailed or ImageUnsupported."""
    _copy_nvram(vm, context)
    vm.xml = clone.record_host_keys(vm.xml, [key.public for key in vm.host_keys])
    data = {"uuid": vm.uuid, "name": vm.spec.name}
    context.journal.intend(vm.request.id, Effect.DOMAIN, data)


def define(vm: NewVm, connection: Any, host: str) -> None:
    """Define the vm: the last step that a clone can't do without. May run in any thread.

    Raises LibvirtFailed.
    """
    with local.errors(f"define {vm.spec.name}", host):
        connection.defineXML(vm.xml)


def _copy_nvram(vm: NewVm, context: JobContext) -> None:
    """Give the vm the image's UEFI variables, among them what is booted.

    Of an image that never ran there are none; libvirt then makes the vm's own at its first start.
    """
    target = definition.describe(vm.xml).nvram
    if target is None:
        return
    if os.path.lexists(target):
        raise StorageFailed(f"{target}, for its UEFI variables, is there already")
    context.journal.intend(vm.request.id, Effect.FILE, {"path": target})
    if vm.image_nvram is not None and Path(vm.image_nvram).exists():
        nvram.copy(vm.image_nvram, target)


def start(vm: NewVm, connection: Any, host: str) -> Domain:
    """Start the vm if that is asked for, and return what there is to say of it.

    May run in any thread. Raises LibvirtFailed.
    """
    with local.errors(f"start {vm.spec.name}", host):
        domain = connection.lookupByUUIDString(vm.uuid)
        if vm.spec.autostart:
            domain.setAutostart(1)
        if vm.spec.start and not domain.isActive():
            take(Act.CREATE_PAUSED if vm.spec.paused else Act.CREATE, domain)
        return shown.vm_of(domain, host)


def undo_volume(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove a volume that was announced."""
    own_files.discard(OwnFiles(volumes=(OwnVolume(**data),)), context)


def undo_file(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove a file that was announced, the UEFI variables."""
    own_files.discard(OwnFiles(paths=(data["path"],)), context)


def undo_domain(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Undefine a vm if it is the one that this request made."""
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None:
        return
    with local.errors(f"undo the definition of {data['name']}", context.host):
        xml = inactive_xml(domain)
        made = definition.describe(xml).made
        if made is not None and made.request == request_id:
            remove.undefine(domain, xml)
