# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cloud-init of a new vm is told, on a medium that is the vm's own as its disks are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ....disk import seed_volume, volumes
from ....domain import cdrom, definition
from ....guest.cloud_init import user_data
from ....guest.cloud_init.facts import SeedFacts
from ....guest.cloud_init.seed import Seed, files
from ....guest.identity import Identity
from ....model.errors import GuestUnsupported
from ....model.request import Customize, User
from ....verbs.clone import CloneSpec
from ...journal.intents import Effect
from ..context import JobContext
from ..image.original import Image
from .new_vm import NewVm


def check(spec: CloneSpec) -> None:
    """Read the user's own data as cloud-init would. Raises NameInvalid or DependencyMissing."""
    user_data.parts(spec.user_data or "")


def check_way(vm: NewVm) -> None:
    """Raise GuestUnsupported for data that nothing would read in the way that was chosen."""
    chosen = vm.chosen
    if vm.spec.user_data is not None and chosen.way is not Customize.CLOUD_INIT:
        raise GuestUnsupported(
            f"user_data is for cloud-init, and it is customized {chosen.way.value}, since"
            f" {chosen.reason}; leave user_data out, or enable cloud-init in the image"
        )


def place(vm: NewVm, image: Image, context: JobContext) -> None:
    """Announce the medium, in the pool of the vm's disks. Raises StorageFailed."""
    target = cdrom.free_target(definition.parse(image.xml))
    volume = vm.pool.medium(target, volumes.of_vm(vm.spec.name, target, vm.uuid))
    vm.pool.check_free(volume)
    context.journal.intend(vm.request.id, Effect.VOLUME, asdict(volume))
    vm.seed = volume


def of_image(image: Image) -> tuple[str, ...]:
    """Return the targets of the image's own cdroms with a seed, which might be taken instead."""
    return tuple(_seeded(image))


def _seeded(image: Image) -> Iterator[str]:
    for disk in image.definition.disks:
        path = disk.source if disk.device == "cdrom" and disk.kind == "file" else None
        if path is not None and seed_volume.is_seed(path):
            yield disk.target


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
