# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cloud-init of a new vm is told, on a medium that is the vm's own as its disks are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ....disk import seed_volume, volumes
from ....domain import cdrom, definition, told_cloud_init
from ....guest.cloud_init import user_data
from ....guest.cloud_init.facts import SeedFacts
from ....guest.cloud_init.seed import Seed, files
from ....guest.identity import Identity
from ....model.errors import GuestUnsupported, ImageUnsupported, StorageFailed
from ....model.request import Customize, User
from ....verbs.clone import CloneSpec
from ...journal.intents import Effect
from ..context import JobContext
from ..image.original import Image
from .new_vm import NewVm


def check(spec: CloneSpec) -> None:
    """Read the user's own data as cloud-init would. Raises NameInvalid or DependencyMissing."""
    user_data.parts(spec.user_data or "")


def check_way(vm: NewVm, image: Image, context: JobContext) -> None:
    """Raise GuestUnsupported for data that nothing would read in the way that was chosen, or for an
    image that would tell cloud-init something else than the seed does.
    """
    chosen = vm.chosen
    if chosen.way is Customize.CLOUD_INIT:
        _check_alone(image, context)
    elif vm.spec.user_data is not None:
        raise GuestUnsupported(
            f"user_data is for cloud-init, and it is customized {chosen.way.value}, since"
            f" {chosen.reason}; leave user_data out, or enable cloud-init in the image"
        )


def _check_alone(image: Image, context: JobContext) -> None:
    word = told_cloud_init.told(definition.parse(image.xml))
    if word is not None:
        raise GuestUnsupported(
            f"the image's definition tells its cloud-init {word[:80]!r}, which each clone would be,"
            " too, whatever its own seed says: remove that from the image"
        )
    for target, device in _seeded(image, context):
        if device not in cdrom.REMOVABLE:
            raise GuestUnsupported(
                f"the image's disk {target} is a seed for cloud-init, which each clone would read"
                " before its own: remove that disk from the image"
            )


def place(vm: NewVm, image: Image, context: JobContext) -> None:
    """Announce the medium, in the pool of the vm's disks. Raises StorageFailed."""
    target = cdrom.free_target(definition.parse(image.xml))
    volume = vm.pool.medium(target, volumes.of_vm(vm.spec.name, target, vm.uuid))
    vm.pool.check_free(volume)
    context.journal.intend(vm.request.id, Effect.VOLUME, asdict(volume))
    vm.seed = volume


def of_image(image: Image, context: JobContext) -> tuple[str, ...]:
    """Return the targets of the image's own drives with a seed, which might be taken instead."""
    return tuple(target for target, device in _seeded(image, context) if device in cdrom.REMOVABLE)


def _seeded(image: Image, context: JobContext) -> Iterator[tuple[str, str]]:
    """Yield target and device of what a clone would have in common with the image."""
    for disk in image.definition.disks:
        if disk.source is None or not disk.shared:
            continue
        with suppress(StorageFailed, ImageUnsupported):
            if seed_volume.is_seed(volumes.path_of(context.connect(), disk)):
                yield disk.target, disk.device


def write(vm: NewVm, identity: Identity, facts: SeedFacts, connection: Any) -> None:
    """Make the medium. May run in any thread.

    Raises NoRoom, StorageFailed, GuestUnsupported, NameInvalid or DependencyMissing.
    """
    if vm.seed is None:
        return
    told = Seed(
        # The same for as long as there is this vm: with another one cloud-init would begin anew.
        instance_id=vm.uuid,
        identity=identity,
        user=vm.spec.user or User(),
        default_user=facts.default_user,
        user_data=vm.spec.user_data or "",
        loses_routes6=facts.loses_routes6,
    )
    content = seed_volume.image(files(told))
    with vm.pool.explained():
        vm.pool.write_medium(connection, vm.seed, content)
