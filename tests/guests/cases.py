# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests are booted, started how and customized how: each pair of these meets in one case."""

from __future__ import annotations

from dataclasses import dataclass

from .recipes import Guest


@dataclass(frozen=True)
class Case:
    """A guest, the firmware that starts it, and the way in which its clones are customized."""

    guest: Guest
    firmware: str
    way: str
    is_told_nocloud: bool = False
    """Whether cloud-init is told, in user data, that NoCloud is its only datasource."""

    @property
    def name(self) -> str:
        told = "-nocloud" if self.is_told_nocloud else ""
        return f"{self.guest.name}-{self.firmware}-{self.way}{told}"


# The test cloud's own: one that has all there is in an image that is offered for clouds, and one
# that somebody has installed by hand.
CLOUD = Guest(12, "ext4")
TEMPLATE = Guest(12, "ext4", "networkd", is_template=True)
# That of the benchmarks: its clones can be customized in each way.
EACH_WAY = Guest(12, "ext4", "networkd")

CASES = (
    Case(CLOUD, "bios", "cloud-init"),
    Case(Guest(12, "xfs"), "uefi", "cloud-init", is_told_nocloud=True),
    Case(Guest(13, "btrfs"), "bios", "cloud-init", is_told_nocloud=True),
    Case(Guest(13, "ext4", "networkd"), "uefi", "offline"),
    Case(Guest(13, "xfs", "networkd"), "bios", "offline"),
    Case(Guest(12, "btrfs", "ifupdown"), "uefi", "offline"),
    Case(Guest(12, "ext4", "ifupdown", is_template=True), "bios", "offline"),
    # It keeps what it finds inside, host keys among that.
    Case(Guest(12, "ext4", "ifupdown", is_template=True), "bios", "none"),
)
GUESTS = tuple(dict.fromkeys((TEMPLATE, EACH_WAY, *(case.guest for case in CASES))))
