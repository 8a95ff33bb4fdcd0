# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.cli.text import vm_text
from maglica.model.vm import Domain, Interface

MAC = "52:54:00:00:00:07"
NOW = Interface(MAC, "br0", bridge="br0", model="e1000", link="up")
LATER = replace(
    NOW, model="virtio", link="down", filter="clean-traffic", vlan=(3, 4), virtualport="ovs"
)
VM = Domain(
    *("vm1.example.jp", "2d4ba4ae-7a3f-4a5e-9fd0-2f0d6d0f7d11", "host0.example.jp", "running"),
    active=True,
    vcpus=1,
    memory_mib=512,
    interfaces=(NOW,),
    restart_needed=True,
)


def test_an_interface_is_shown_as_it_is_and_as_it_waits_to_be() -> None:
    lines = vm_text(replace(VM, next_interfaces=(LATER,))).splitlines()
    assert f"interface:        {MAC} on br0 e1000" in lines
    then = f"{MAC} on br0 virtio VLAN 3,4 filter clean-traffic switch ovs link down"
    assert f"then interface:   {then}" in lines


@pytest.mark.parametrize(
    ("running", "later", "text"),
    [
        ((None, None), None, "for these vCPUs and memory"),
        ((2, 512), None, "for these vCPUs and memory"),
        ((None, None), (LATER,), "for other interfaces"),
        ((1, 512), (LATER,), "for other interfaces"),
        ((2, 512), (LATER,), "for these vCPUs and memory, and for other interfaces"),
    ],
)
def test_what_waits_for_a_restart_is_said(
    running: tuple[int | None, int | None], later: tuple[Interface, ...] | None, text: str
) -> None:
    vcpus, memory_mib = running
    waiting = replace(VM, running_vcpus=vcpus, running_memory_mib=memory_mib, next_interfaces=later)
    assert f"restart needed:   {text}" in vm_text(waiting).splitlines()
