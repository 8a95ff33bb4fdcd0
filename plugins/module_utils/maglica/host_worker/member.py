# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One vm in the making: the steps of its clone, each announced in the journal before it acts."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import domain_clone, domain_xml
from .._deps import need
from ..errors import GuestUnsupported, LibvirtFailed, NameTaken, NoRoom, StorageFailed
from ..model import CloneMode, CloneSpec, Nic, Request, Vm, vm_uuid
from . import images, libvirtd, qemu_img, storage, undo, view
from .context import JobContext
from .guest import keys
from .guest.appliance import Drive
from .guest.customize import Guest
from .guest.model import GuestFacts, HostKey, Identity, NicIdentity
from .guest.plan import plan
from .journal import Base
from .original import Image

_SEED_BYTES = 512
_DAY = 86400


@dataclass
class Member:
    """A clone request and what has been made for it so far.

    ``disks`` has the paths of its volumes, all of ``pool``, by target; ``xml`` is the definition
    that it will have.
    """

    request: Request
    spec: CloneSpec
    pool: str = ""
    disks: dict[str, str] = field(default_factory=dict)
    xml: str = ""
    host_keys: tuple[HostKey, ...] = ()

    @property
    def uuid(self) -> str:
        return vm_uuid(self.request.id)


def check(vm: Member, image: Image, context: JobContext) -> None:
    """Find out, before anything is made, what can't work.

    Raises NameTaken, ImageUnsupported or GuestUnsupported.
    """
    libvirt = need("libvirt")
    try:
        context.connect().lookupByName(vm.spec.name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            failure = libvirtd.kind_of(error, LibvirtFailed)
            raise failure(f"its name can't be looked up: {error}") from error
    else:
        raise NameTaken(f"a domain named {vm.spec.name} is there already")
    for nic in vm.spec.networks or ():
        if not nic.addresses and (nic.gateways or nic.nameservers or nic.search):
            raise GuestUnsupported("gateways and nameservers need an address of the same interface")
    networks = vm.spec.networks
    own_networks = networks is not None and all(nic.network or nic.bridge for nic in networks)
    domain_clone.check(image.xml, own_networks)


def copy(vm: Member, image: Image, base: Base, context: JobContext) -> None:
    """Make the vm's volumes: overlays of the base, or full copies of it.

    Raises NoRoom, StorageFailed or ImageUnsupported.
    """
    connection = context.connect()
    is_linked = vm.spec.clone_mode is CloneMode.LINKED
    paths = {target: disk["path"] for target, disk in base.disks.items()}
    copied = {target: images.inspect(path, images.QCOW2, ()) for target, path in paths.items()}
    sizes = [chain[0].size for chain in copied.values()]
    full = sum(chain[0].allocated for chain in copied.values()) + storage.MIN_OVERLAY
    known = storage.pools(connection, context.settings.pools)
    needed = storage.overlay_bytes(sizes) if is_linked else full
    pool = storage.choose(known, needed, vm.spec.pool)
    vm.pool = pool.name
    for target, chain in copied.items():
        name = storage.volume_name(vm.spec.name, target, vm.uuid)
        context.journal.intend(vm.request.id, undo.VOLUME, {"pool": pool.name, "name": name})
        backing = chain[0].path if is_linked else None
        storage.create(connection, pool, name, chain[0].size, backing)
        vm.disks[target] = storage.volume_path(pool, name)
        if not is_linked:
            with storage.explained(pool.name, [vm.disks[target]]):
                qemu_img.copy(chain, vm.disks[target], context.alive)
    vm.xml = domain_clone.clone(image.xml, _plan(vm))


def _plan(vm: Member) -> domain_clone.ClonePlan:
    return domain_clone.ClonePlan(
        name=vm.spec.name,
        uuid=vm.uuid,
        image=vm.spec.image,
        request=vm.request.id,
        created=int(time.time()),
        who=vm.request.who,
        clone_mode=vm.spec.clone_mode,
        disks={target: domain_clone.DiskSource(path) for target, path in vm.disks.items()},
        networks=vm.spec.networks,
        vcpus=vm.spec.vcpus,
        memory_mib=vm.spec.memory_mib,
        tags=vm.spec.tags,
    )


def make_keys(vm: Member, facts: GuestFacts, context: JobContext) -> None:
    """Make the SSH host keys of the types that the image had. Raises StorageFailed."""
    folder = undo.key_folder(context, vm.request.id)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        vm.host_keys = keys.host_keys(facts.ssh_host_keys, vm.spec.name, folder)
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageFailed(f"SSH host keys can't be made in {folder}: {error.strerror}") from error


def guest(vm: Member, facts: GuestFacts, targets: Sequence[str]) -> Guest:
    """Return what is to be edited on the vm's disks. Raises GuestUnsupported."""
    drives = tuple(Drive(vm.disks[target], images.QCOW2) for target in targets)
    return Guest(vm.request.id, drives, plan(facts, _identity(vm)))


def _identity(vm: Member) -> Identity:
    macs = [interface.mac for interface in domain_xml.describe(vm.xml).interfaces]
    wanted = vm.spec.networks if vm.spec.networks is not None else [Nic() for _turn in macs]
    return Identity(
        hostname=vm.spec.name,
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
    )


def define(vm: Member, image: Image, context: JobContext) -> None:
    """Define the vm: the last step that a clone can't do without. Raises LibvirtFailed."""
    _copy_nvram(vm, image, context)
    public = [key.public for key in vm.host_keys]
    data = {"uuid": vm.uuid, "name": vm.spec.name, "ssh_host_keys": public}
    context.journal.intend(vm.request.id, undo.DOMAIN, data)
    with libvirtd.errors(f"define {vm.spec.name}", context.host):
        context.connect().defineXML(vm.xml)


def _copy_nvram(vm: Member, image: Image, context: JobContext) -> None:
    """Give the vm the image's UEFI variables, among them what is booted; else it has none."""
    source, target = image.definition.nvram, domain_xml.describe(vm.xml).nvram
    if source is None or target is None or not Path(source).is_file():
        return
    if Path(target).exists():
        raise StorageFailed(f"{target}, for its UEFI variables, is there already")
    context.journal.intend(vm.request.id, undo.FILE, {"path": target})
    try:
        with Path(source).open("rb") as old, Path(target).open("xb") as new:
            os.fchmod(new.fileno(), 0o600)
            shutil.copyfileobj(old, new)
            os.fsync(new.fileno())
    except OSError as error:
        failure = NoRoom if error.errno == errno.ENOSPC else StorageFailed
        raise failure(f"UEFI variables {source} can't be copied: {error.strerror}") from error


def start(vm: Member, context: JobContext) -> Vm:
    """Start the vm if that is asked for, and return what there is to say of it.

    Raises LibvirtFailed.
    """
    intents = context.journal.intents(vm.request.id)
    host_keys = [intent.data["ssh_host_keys"] for intent in intents if intent.kind == undo.DOMAIN]
    with libvirtd.errors(f"start {vm.spec.name}", context.host):
        domain = context.connect().lookupByUUIDString(vm.uuid)
        if vm.spec.start and not domain.isActive():
            domain.create()
        made = view.vm_of(domain, context.host)
    return replace(made, ssh_host_keys=tuple(host_keys[-1]) if host_keys else ())
