# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One vm in the making."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....disk.backend import Pool
from ....domain.metadata import OwnVolume
from ....guest.cloud_init.way import Chosen
from ....guest.identity import HostKey
from ....model.request import Request
from ....model.vm import vm_uuid
from ....verbs.clone import CloneSpec
from .disk_size import Growth


@dataclass
class NewVm:
    """A clone request and what has been made for it so far.

    ``further`` are the volumes of disks that its image has not, by their names, with their pools.
    ``volumes`` are its own by the disks' targets, all in ``pool``, which is there as soon as the
    vm has its place; ``xml`` is the definition that it will have; ``image_nvram`` is where the
    image's UEFI variables are, if it has some. ``growth`` is what makes the first disk larger.
    ``chosen`` is how it is customized, there as soon as its image was looked at; ``seed`` is the
    medium that tells its cloud-init who it is.
    """

    request: Request
    spec: CloneSpec
    volumes: dict[str, OwnVolume] = field(default_factory=dict)
    further: dict[str, tuple[Pool, OwnVolume]] = field(default_factory=dict)
    xml: str = ""
    host_keys: tuple[HostKey, ...] = ()
    pool: Pool = field(init=False, compare=False, repr=False)
    image_nvram: str | None = None
    growth: Growth | None = None
    chosen: Chosen = field(init=False, compare=False, repr=False)
    seed: OwnVolume | None = None

    @property
    def uuid(self) -> str:
        return vm_uuid(self.request.id)
