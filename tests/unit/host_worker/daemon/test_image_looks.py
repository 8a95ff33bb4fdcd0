# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a look at an image: how clones are customized that ask for nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from maglica.guest.facts import Seen
from maglica.host_worker.daemon.image_looks import summary
from maglica.host_worker.journal.looks import Look
from maglica.model.request import Customize, LookSummary

SEEN = Seen("debian", "13", "netplan", "ext4", offline="netplan is not known")
LOOK = Look("uuid", "old", "v", 1, 5.0, seen=SEEN)


def test_what_was_seen() -> None:
    assert summary(LOOK, "deb", True) == LookSummary(
        image="deb",
        version="v",
        customizable=True,
        reason="its cloud-init is enabled and asks NoCloud",
        current=True,
        way=Customize.CLOUD_INIT,
        distro="debian",
        release="13",
        stack="netplan",
        layout="ext4",
    )


@pytest.mark.parametrize(
    ("cloud_init", "offline", "way", "reason"),
    [
        ("is masked", None, Customize.OFFLINE, "its cloud-init is masked"),
        ("is masked", "it has no etc", None, "its cloud-init is masked, and .* customize: none"),
    ],
)
def test_the_way(cloud_init: str, offline: str | None, way: Customize | None, reason: str) -> None:
    seen = replace(SEEN, cloud_init=cloud_init, offline=offline)
    told = summary(replace(LOOK, seen=seen), "deb", None)
    assert (told.way, told.customizable, told.distro) == (way, way is not None, "debian")
    assert re.match(reason, told.reason or "")


def test_a_guest_of_which_nothing_is_known() -> None:
    refused = Look("uuid", "old", "v", 1, 5.0, "guest_unreadable", "no system")
    assert summary(refused, "deb", False) == LookSummary("deb", "v", False, "no system", False)
