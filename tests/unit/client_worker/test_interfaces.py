# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of hardware that a host can't do are refused, also where they are only tried."""

from __future__ import annotations

import pytest
from maglica.model.card import Card
from maglica.model.request import new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.disks import NewDisk
from support.reports import report

from .conftest import Cell


@pytest.mark.parametrize("dry_run", [False, True])
def test_tags_on_a_plain_bridge_of_an_old_libvirt(cell: Cell, dry_run: bool) -> None:
    told = report(net_devices=("br0",), libvirt_version="9.0.0")
    known = list(table.FEATURES)
    cell.ask("hello", host="kvm0", report=told, requests=[], features=known)
    uuid = vm_uuid(new_request_id())
    spec = AddInterfaceSpec("vm0", uuid, "kvm0", None, None, "br0", Card(vlan=(5,)))
    asked = {"id": new_request_id(), "kind": "add_interface", "spec": spec}
    kind, body = cell.ask("submit", requests=[asked], dry_run=dry_run, features=known)
    assert (kind, body["code"]) == ("error", "network_unsupported")
    assert body["text"].startswith(
        "cannot add an interface to vm0 on host kvm0: VLAN tags on br0 take"
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_disk_in_a_pool_that_is_not_there(cell: Cell, dry_run: bool) -> None:
    known = list(table.FEATURES)
    cell.ask("hello", host="kvm0", report=report(), requests=[], features=known)
    spec = AddDiskSpec("vm0", vm_uuid(new_request_id()), "kvm0", NewDisk("data", 1, "ssd"))
    asked = {"id": new_request_id(), "kind": "add_disk", "spec": spec}
    kind, body = cell.ask("submit", requests=[asked], dry_run=dry_run, features=known)
    assert (kind, body["code"]) == ("error", "pool_unknown")
    assert body["text"].startswith(
        "cannot add a disk to vm0 on host kvm0: there is no storage pool ssd"
    )
