# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vms with a seed for their cloud-init, with a real libvirtd and real QEMU; no guest boots."""

from __future__ import annotations

import functools
import io
import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pycdlib
import pytest
from maglica.disk.files import FilePool
from maglica.host_worker.job import undo
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.job.vm import clone_steps, remove
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Customize, Request, State, User, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.remove import RemoveSpec
from support import seeded_host

from .conftest import IMAGE, Host

MARK = "notforanybodyelse"
SECRETS = {
    "user": User("admin", password=f"$6$salt${MARK}"),
    "user_data": f"#!/bin/sh\necho {MARK}\n",
}


class Killed(BaseException):
    """The process is gone: nothing that would clean up runs."""


@pytest.fixture(scope="module")
def host(folder: Path, libvirtd: str, connection: libvirt.virConnect) -> Iterator[Host]:
    """A host with an image that says that it has cloud-init, and has nothing on its disk."""
    made = Host(folder, libvirtd, connection)
    made.add_pool("default", folder / "pool")
    disk = folder / "image.raw"
    disk.write_bytes(bytes(1 << 20))
    made.add_image(disk)
    with pytest.MonkeyPatch.context() as patch:
        seeded_host.look_at(seeded_host.Guests(), patch)
        yield made


def seed_of(host: Host, request: Request) -> Path:
    return host.folder / "pool" / f"{request.name}.sda.{vm_uuid(request.id)[:8]}.iso"


def made_by_hand(host: Host) -> list[str]:
    """Return the files that are no base's: all that a vm would leave."""
    kept = [disk.name for base in host.context.journal.bases() for disk in base.disks]
    return [name for name in host.files() if name not in kept]


def take_away(host: Host, request: Request) -> None:
    spec = RemoveSpec(request.name, vm_uuid(request.id), "kvm0.example.jp")
    removal = Request(new_request_id(), spec, host="kvm0.example.jp")
    host.context.journal.accept([removal])
    remove.remove(removal, host.context)
    host.context.journal.end(removal.id, State.DONE)


def test_a_vm_of_each_way_starts_with_what_is_its_own(host: Host) -> None:
    seeded = host.request("seeded.example.jp", start=True, **SECRETS)
    bare = host.request("bare.example.jp", customize=Customize.NONE)
    results = host.run(seeded, bare)
    assert [done.state for done in results] == [State.DONE] * 2, results
    assert [done.vm.customize for done in results] == ["cloud-init", "none"]
    assert results[0].vm.state == "running"
    root = ET.fromstring(host.connection.lookupByName(seeded.name).XMLDesc())
    (cdrom,) = root.iterfind("devices/disk[@device='cdrom']")
    assert cdrom.find("source").get("file") == str(seed_of(host, seeded))
    assert cdrom.find("target").get("bus") == "scsi"
    index = cdrom.find("address").get("controller")
    (controller,) = root.iterfind(f"devices/controller[@type='scsi'][@index='{index}']")
    assert controller.get("model") == "virtio-scsi"
    bare_root = ET.fromstring(host.connection.lookupByName(bare.name).XMLDesc())
    assert bare_root.find("devices/disk[@device='cdrom']") is None
    take_away(host, seeded)
    take_away(host, bare)
    assert made_by_hand(host) == []


def test_a_seed_is_protected_as_disks_are(host: Host) -> None:
    request = host.request("vm0.example.jp", **SECRETS)
    (done,) = host.run(request)
    assert done.state is State.DONE, done.failure
    seed = seed_of(host, request)
    disk = Path(done.vm.disks[0].source)
    of_disk, of_seed = disk.stat(), seed.stat()
    assert (of_seed.st_uid, of_seed.st_gid) == (of_disk.st_uid, of_disk.st_gid)
    assert of_seed.st_mode == of_disk.st_mode == 0o100600
    iso, meta = pycdlib.PyCdlib(), io.BytesIO()
    iso.open(str(seed))
    iso.get_file_from_iso_fp(meta, rr_path="/meta-data")
    iso.close()
    assert json.loads(meta.getvalue())["instance-id"] == done.vm.uuid
    # It is a volume of the pool, of the vm and of nobody else.
    pool = host.connection.storagePoolLookupByName("default")
    assert pool.storageVolLookupByName(seed.name).path() == str(seed)
    take_away(host, request)
    assert made_by_hand(host) == []


def test_what_was_killed_at_any_step_is_undone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    # The base is there, so that every run is as long.
    first = host.request("first.example.jp")
    host.run(first)
    take_away(host, first)
    events = kill_at = 0
    counting = threading.Lock()

    def event() -> None:
        nonlocal events
        with counting:
            events += 1
            if 0 < kill_at <= events:
                raise Killed

    def counted(real: Any) -> Any:
        @functools.wraps(real)
        def wrapper(*values: Any, **named: Any) -> Any:
            event()
            result = real(*values, **named)
            event()
            return result

        return wrapper

    steps = ((FilePool, "_make"), (FilePool, "write_medium"), (clone_steps, "define"))
    for owner, name in (*steps, (Journal, "intend")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    probe = host.request("probe.example.jp", **SECRETS)
    host.run(probe)
    total = events
    take_away(host, probe)
    for number in range(1, total + 1):
        request = host.request("vm1.example.jp", **SECRETS)
        events, kill_at = 0, number
        with pytest.raises(Killed):
            host.run(request)
        kill_at = 0
        host.context = JobContext(Journal(host.settings.state_dir), host.settings, host.said.append)
        undo.undo(request.id, host.context)
        undo.undo(request.id, host.context)
        assert made_by_hand(host) == [], number
        names = [domain.name() for domain in host.connection.listAllDomains()]
        assert names == [IMAGE], number
        host.context.journal.end(request.id, State.CANCELLED)
    assert total > 12


def test_no_secret_is_left_on_the_host(host: Host) -> None:
    failing = host.request("vm3.example.jp", pool="nowhere", **SECRETS)
    done = host.request("vm4.example.jp", **SECRETS)
    states = [each.state for each in host.run(failing, done)]
    assert states == [State.FAILED, State.DONE]
    host.context.journal.close()
    kept = [path for path in host.settings.state_dir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in kept)
    kept += list((host.folder / "libvirtd").rglob("*.xml"))
    for path in (path for path in kept if path.is_file()):
        assert MARK.encode() not in path.read_bytes(), path
    assert MARK not in repr(host.said)
    assert b"maglica-own" in seed_of(host, done).read_bytes()
