# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removals that are cancelled or killed at their points, and whose disks can't be deleted at once.

All processes are real; domains and volumes are those of libvirt's test driver.
"""

from __future__ import annotations

import os
import signal
from dataclasses import asdict

import libvirt
import pytest
from maglica.disk import pools, volumes
from maglica.disk.files import FilePool
from maglica.disk.room import MIB
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.remove import RemoveSpec
from support.client_worker import eventually
from support.host_worker import HOST, Cell
from support.own_libvirtd import MADE

NAME = "vm0.example.jp"
UUID = vm_uuid("r")
POOL = "default-pool"
BEFORE = ("undefine/begin",)
AFTER = ("undefine/announced-removal", "undefine/end", "volumes/begin", "volumes/end", "ending")


@pytest.fixture
def pool(cell: Cell) -> libvirt.virStoragePool:
    """The pool with the two volumes of a vm; that runs."""
    (known,) = pools.pools(cell.libvirtd.connection, [POOL])
    assert isinstance(known, FilePool)
    own = ""
    for target in ("vda", "vdb"):
        volume = known.volume(target, volumes.of_vm(NAME, target, UUID))
        known.create(cell.libvirtd.connection, volume, MIB)
        fields = " ".join(f"{key}='{value}'" for key, value in asdict(volume).items())
        own += f"<maglica:volume {fields}/>"
    cell.libvirtd.define(NAME, UUID, MADE.replace("/>", f">{own}</maglica:vm>")).create()
    cell.host.pass_points()
    cell.start()
    return cell.libvirtd.connection.storagePoolLookupByName(POOL)


@pytest.fixture(autouse=True)
def clean(cell: Cell) -> object:
    yield
    connection = cell.libvirtd.connection
    cell.host.close()
    pool = connection.storagePoolLookupByName(POOL)
    if not pool.isActive():
        pool.create()
    for name in names(cell):
        domain = connection.lookupByName(name)
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    for volume in pool.listAllVolumes():
        volume.delete()


def names(cell: Cell) -> list[str]:
    domains = cell.libvirtd.connection.listAllDomains()
    return [domain.name() for domain in domains if domain.name() == NAME]


def removal_at(cell: Cell, point: str) -> tuple[Request, int]:
    """Return a removal that waits at a point, and the process that does it."""
    cell.host.stop_at(point)
    spec = RemoveSpec(name=NAME, uuid=UUID, host=HOST)
    request = cell.client.request("submit", id=new_request_id(), kind="remove", spec=spec)
    return request, cell.host.reached()


def gone(cell: Cell, pool: libvirt.virStoragePool, request: Request) -> None:
    ended = cell.ended(request)
    assert (ended.state, ended.failure, ended.vm.state) == (State.DONE, None, "absent")
    assert (names(cell), pool.listVolumes()) == ([], [])
    assert cell.host.journal().intents(request.id) == ()


@pytest.mark.parametrize("point", AFTER)
def test_cancel_of_a_removal_that_has_begun(
    cell: Cell, pool: libvirt.virStoragePool, point: str
) -> None:
    request, process = removal_at(cell, point)
    assert cell.client.request("cancel", id=request.id).cancelling
    cell.host.wait_killed(process)
    gone(cell, pool, request)


@pytest.mark.parametrize("point", BEFORE)
def test_cancel_of_a_removal_that_has_taken_nothing(
    cell: Cell, pool: libvirt.virStoragePool, point: str
) -> None:
    request, _process = removal_at(cell, point)
    cell.client.request("cancel", id=request.id)
    assert cell.ended(request).state is State.CANCELLED
    assert (names(cell), len(pool.listVolumes())) == ([NAME], 2)


@pytest.mark.parametrize("victim", ["host worker", "child"])
def test_killed_and_then_cancelled(cell: Cell, pool: libvirt.virStoragePool, victim: str) -> None:
    request, process = removal_at(cell, "undefine/end")
    assert (names(cell), len(pool.listVolumes())) == ([], 2)
    if victim == "child":
        os.kill(process, signal.SIGKILL)
    else:
        cell.host.stop(signal.SIGKILL)
    cell.host.wait_killed(process)
    cell.client.request("cancel", id=request.id)
    if victim == "host worker":
        cell.host.start()
    gone(cell, pool, request)


def test_a_pool_that_is_stopped_in_between(cell: Cell, pool: libvirt.virStoragePool) -> None:
    request, _process = removal_at(cell, "undefine/end")
    pool.destroy()
    cell.host.stop_at("nowhere")
    eventually(lambda: "is not active" in cell.host.log)
    assert not cell.now(request).state.ended
    cell.host.restart(signal.SIGKILL)
    cell.client.request("cancel", id=request.id)
    pool.create()
    gone(cell, pool, request)
