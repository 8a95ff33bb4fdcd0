# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of a new vm's first disk: whether it can have it, and what has to be written then.

The partition with the root file system grows before the vm is defined, without an appliance; the
file system itself at the first boot, as was laid out on the base or by cloud-init. Of a vm that is
not customized only the disk grows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ....disk import partitions
from ....disk.chain import Chain
from ....disk.partitions import Patch
from ....guest import growth
from ....model.errors import DiskSizeUnsupported
from ....model.sizes import shown, too_small
from ....verbs.clone import CloneSpec
from ...journal.bases import Base

_ADVICE = "leave disk_size out, or make the disk of the image itself that large"


@dataclass(frozen=True)
class Growth:
    """What a volume gets after it was made: its size in bytes, and a table that goes with it."""

    size: int
    patches: tuple[Patch, ...] = ()


def first(chains: Mapping[str, Chain]) -> tuple[str, int]:
    """Return target and size in bytes of an image's or a base's first disk."""
    target, layers = next(iter(chains.items()))
    return target, layers[0].size


def check(spec: CloneSpec, chains: Mapping[str, Chain]) -> None:
    """Raise DiskSizeUnsupported if the image's first disk is larger than it shall be."""
    _target, size = first(chains)
    if 0 < spec.disk_size < size:
        raise DiskSizeUnsupported(too_small(spec.disk_size, size))


def growth_of(
    spec: CloneSpec, chains: Mapping[str, Chain], base: Base, head: Callable[[], bytes]
) -> Growth | None:
    """Return what the first disk gets; None where it has the size that it shall have.

    ``head`` returns its first bytes. Raises DiskSizeUnsupported.
    """
    target, size = first(chains)
    if spec.disk_size in (0, size):
        return None
    try:
        number = _partition(base)
        if not number:
            return Growth(spec.disk_size)
        table = partitions.read(head(), size)
        return Growth(spec.disk_size, table.grown(number, spec.disk_size))
    except DiskSizeUnsupported as error:
        sizes = f"of {shown(size)} can't be made {shown(spec.disk_size)}"
        text = f"its disk {target} {sizes} large: {error}; {_ADVICE}"
        raise DiskSizeUnsupported(text) from None


def _partition(base: Base) -> int:
    """Return the number of the partition that has to grow; 0: there is none to be written."""
    if base.facts is not None:
        return growth.partition(base.facts)
    return 0 if base.seed is None else growth.seeded_partition(base.seed)
