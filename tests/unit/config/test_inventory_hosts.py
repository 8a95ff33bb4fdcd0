# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.config.config import HostEntry
from maglica.config.inventory_hosts import hosts
from maglica.model.errors import ConfigInvalid


def test_hosts() -> None:
    listed = [
        {"name": "kvm0"},
        {"name": "kvm1", "uri": None, "weight": None},
        {"name": "kvm2", "uri": "qemu+ssh://kvm2/system", "weight": 0.5},
        {"name": "kvm3", "weight": "2"},
        {"name": "fd00::1"},
    ]
    assert hosts(listed) == [
        HostEntry("kvm0", "qemu+ssh://kvm0/system", 1),
        HostEntry("kvm1", "qemu+ssh://kvm1/system", 1),
        HostEntry("kvm2", "qemu+ssh://kvm2/system", 0.5),
        HostEntry("kvm3", "qemu+ssh://kvm3/system", 2),
        HostEntry("fd00::1", "qemu+ssh://[fd00::1]/system", 1),
    ]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("kvm0", "entry 2: 'kvm0' is not a dictionary"),
        ({}, "entry 2: option name is missing"),
        ({"name": None}, "option name is missing"),
        ({"name": "a b"}, "name: 'a b'"),
        ({"name": "a", "uri": "nonsense"}, "uri: 'nonsense' is not a libvirt URI"),
        ({"name": "a", "weight": 0}, "weight: '0' is not a number above 0"),
        ({"name": "a", "weight": True}, "weight: 'True' is not a number above 0"),
        ({"name": "a", "url": "qemu:///system"}, "there is no option 'url'"),
    ],
)
def test_no_hosts(entry: object, text: str) -> None:
    with pytest.raises(ConfigInvalid, match=text):
        hosts([{"name": "kvm0"}, entry])
