# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base from its making ahead of the first clone to its end, and vms that leave theirs.

The tests of one module share a host and are in the order of such a life.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.domain import definition
from maglica.host_worker.job import main, undo
from maglica.host_worker.journal.intents import Effect
from maglica.model.request import Request, Spec, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.flatten import FlattenSpec
from maglica.verbs.prepare import PrepareSpec
from maglica.verbs.remove import RemoveSpec

from .conftest import IMAGE, Host

pytestmark = pytest.mark.timeout(900)

HOST = "kvm0.example.jp"


def ask(host: Host, spec: Spec) -> Request:
    request = Request(new_request_id(), spec, host=HOST, who="alice")
    host.context.journal.accept([request])
    main.run([request.id], host.context)
    return host.context.journal.entry(request.id).request


def about_image(host: Host, kind: str) -> Request:
    return ask(host, table.named(kind).spec(IMAGE, HOST))


def about_vm(host: Host, kind: str, made: Request) -> Request:
    spec = table.named(kind).spec(name=made.name, host=HOST, uuid=vm_uuid(made.id))
    return ask(host, spec)


def base_files(host: Host) -> list[str]:
    return [name for name in host.files() if name.startswith("maglica-base.")]


def layers(path: str) -> list[str]:
    words = ["qemu-img", "info", "-U", "-f", "qcow2", "--backing-chain", "--output=json", path]
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return [layer["filename"] for layer in found]


def content(path: str, folder: Path) -> bytes:
    """What a guest would read from a disk."""
    copy = folder / "content.raw"
    words = ["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, str(copy)]
    subprocess.run(words, check=True)
    found = copy.read_bytes()
    copy.unlink()
    return found


def made_of(host: Host, request: Request) -> Any:
    domain = host.connection.lookupByUUIDString(vm_uuid(request.id))
    return definition.describe(domain.XMLDesc()).made


def cloned(host: Host, name: str, **changes: Any) -> Request:
    (request,) = host.run(host.request(name, **changes))
    assert request.state is State.DONE, request.failure
    return request


def test_a_base_is_made_ahead_and_once(host: Host) -> None:
    first = about_image(host, "prepare")
    assert first.state is State.DONE, first.failure
    assert [phase.name for phase in first.phases] == ["base"]
    made = base_files(host)
    assert len(made) == 1
    assert about_image(host, "prepare").state is State.DONE
    assert base_files(host) == made
    # The first clone finds it.
    cloned(host, "web0.example.jp")
    assert base_files(host) == made


def test_an_undone_preparation_leaves_a_ready_base(host: Host) -> None:
    """A job may be killed between its base's last commit and its own end."""
    (base,) = host.context.journal.bases()
    request = Request(new_request_id(), PrepareSpec(IMAGE, HOST), host=HOST, who="a")
    host.context.journal.accept([request])
    data = {"id": base.id, "image_uuid": base.image_uuid}
    host.context.journal.intend(request.id, Effect.BASE, data)
    undo.undo(request.id, host.context)
    assert host.context.journal.bases() == (base,)


def test_release_keeps_what_a_vm_builds_upon(host: Host) -> None:
    made = base_files(host)
    assert about_image(host, "release").state is State.DONE
    assert base_files(host) == made


def test_a_guest_that_somebody_paused_is_left_alone(host: Host) -> None:
    vm = cloned(host, "paused0.example.jp")
    domain = host.connection.lookupByUUIDString(vm_uuid(vm.id))
    domain.create()
    domain.suspend()
    try:
        ended = about_vm(host, "flatten", vm)
        assert ended.state is State.FAILED
        assert ended.failure.text == (
            "cannot flatten paused0.example.jp on host kvm0.example.jp: it is paused: let it run,"
            " or stop it"
        )
        assert domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED
        assert host.context.journal.intents(ended.id) == ()
        assert len(layers(vm.vm.disks[0].source)) == 2
    finally:
        domain.destroy()


@pytest.mark.parametrize("running", [False, True])
def test_a_flattened_vm_has_all_of_its_own(host: Host, tmp_path: Path, running: bool) -> None:
    vm = cloned(host, f"flat{int(running)}.example.jp")
    path = vm.vm.disks[0].source
    before = content(path, tmp_path)
    assert len(layers(path)) == 2
    domain = host.connection.lookupByUUIDString(vm_uuid(vm.id))
    if running:
        domain.create()
    ended = about_vm(host, "flatten", vm)
    assert ended.state is State.DONE, ended.failure
    assert ended.vm.state == ("running" if running else "stopped")
    if running:
        kill_qemu(host, vm)
    assert layers(path) == [path]
    assert content(path, tmp_path) == before
    assert made_of(host, vm).clone_mode == "full"
    assert host.context.journal.intents(ended.id) == ()
    # A second time there is nothing to do.
    blocks = Path(path).stat().st_blocks
    assert about_vm(host, "flatten", vm).state is State.DONE
    assert Path(path).stat().st_blocks == blocks
    with without_bases(host):
        domain.create()
        domain.destroy()


def test_a_guest_that_is_killed_while_it_leaves_its_base_loses_nothing(
    host: Host, tmp_path: Path
) -> None:
    """QEMU changes the header before it writes where the copied blocks are."""
    vm = cloned(host, "killed.example.jp")
    path = vm.vm.disks[0].source
    before = content(path, tmp_path)
    spec = FlattenSpec(name=vm.name, host=HOST, uuid=vm_uuid(vm.id))
    request = Request(new_request_id(), spec, host=HOST, who="alice")
    host.context.journal.accept([request])
    _top, base = layers(path)
    data = {"uuid": spec.uuid, "target": "vda", "path": path, "backing": base, "format": "qcow2"}
    host.context.journal.intend(request.id, Effect.PULL, data)
    domain = host.connection.lookupByUUIDString(spec.uuid)
    domain.create()
    domain.blockPull("vda")
    while domain.blockJobInfo("vda"):
        time.sleep(0.05)
    kill_qemu(host, vm)
    assert layers(path) == [path]
    assert content(path, tmp_path) != before
    main.run([request.id], host.context)
    ended = host.context.journal.entry(request.id).request
    assert ended.state is State.DONE, ended.failure
    assert layers(path) == [path]
    assert content(path, tmp_path) == before


def kill_qemu(host: Host, vm: Request) -> None:
    domain = host.connection.lookupByUUIDString(vm_uuid(vm.id))
    pid = host.folder / f"libvirtd/run/qemu/{vm.name}.pid"
    os.kill(int(pid.read_text()), signal.SIGKILL)
    while domain.isActive():
        time.sleep(0.05)


@contextmanager
def without_bases(host: Host) -> Iterator[None]:
    names = base_files(host)
    for name in names:
        (host.folder / "pool" / name).rename(host.folder / name)
    try:
        yield
    finally:
        for name in names:
            (host.folder / name).rename(host.folder / "pool" / name)


def test_a_saved_vm_is_restored_after_it_was_flattened(host: Host) -> None:
    vm = cloned(host, "saved.example.jp", start=True)
    domain = host.connection.lookupByUUIDString(vm_uuid(vm.id))
    domain.managedSave()
    assert about_vm(host, "flatten", vm).state is State.DONE
    with without_bases(host):
        domain.create()
        domain.destroy()


def test_a_vm_with_snapshots_keeps_its_base(host: Host, tmp_path: Path) -> None:
    """What a snapshot in the disk has below it would be lost with the base."""
    vm = cloned(host, "snap.example.jp")
    path = vm.vm.disks[0].source
    before = content(path, tmp_path)
    subprocess.run(["qemu-img", "snapshot", "-c", "s", path], check=True)
    ended = about_vm(host, "flatten", vm)
    assert ended.state is State.FAILED
    assert "has snapshots" in ended.failure.text
    assert len(layers(path)) == 2
    subprocess.run(["qemu-img", "snapshot", "-a", "s", path], check=True)
    assert content(path, tmp_path) == before


def test_a_disk_that_an_admin_attached_is_left_alone(host: Host) -> None:
    vm = cloned(host, "attached.example.jp")
    theirs, below = host.folder / "theirs.qcow2", host.folder / "theirs-below.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2"]
    subprocess.run([*create, str(below), "1M"], check=True)
    subprocess.run([*create, "-F", "qcow2", "-b", str(below), str(theirs)], check=True)
    domain = host.connection.lookupByUUIDString(vm_uuid(vm.id))
    for target, kind, path in (("vdy", "qcow2", theirs), ("vdz", "raw", host.folder / "image.raw")):
        disk = f"<disk type='file'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
        domain.attachDeviceFlags(
            f"{disk}<target dev='{target}'/></disk>", libvirt.VIR_DOMAIN_AFFECT_CONFIG
        )
    ended = about_vm(host, "flatten", vm)
    assert ended.state is State.DONE, ended.failure
    assert layers(vm.vm.disks[0].source) == [vm.vm.disks[0].source]
    assert layers(str(theirs)) == [str(theirs), str(below)]
    ended = about_vm(host, "remove", vm)
    assert ended.state is State.DONE, ended.failure
    assert theirs.exists() and below.exists() and (host.folder / "image.raw").exists()
    theirs.unlink()


def test_a_vm_below_an_external_snapshot_is_neither_flattened_nor_removed(host: Host) -> None:
    vm = cloned(host, "below.example.jp")
    path = vm.vm.disks[0].source
    domain = host.connection.lookupByUUIDString(vm_uuid(vm.id))
    disk_only = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    snapshot = domain.snapshotCreateXML(
        "<domainsnapshot><name>s</name></domainsnapshot>", disk_only
    )
    above = definition.describe(domain.XMLDesc()).disks[0].source
    ended = about_vm(host, "flatten", vm)
    assert ended.failure.text == (
        f"cannot flatten below.example.jp on host {HOST}: disk vda is {above} now, and was made as"
        f" {path}: merge snapshots, or attach it as it was"
    )
    ended = about_vm(host, "remove", vm)
    assert ended.failure.code == "not_own"
    assert ended.failure.text == (
        f"cannot remove below.example.jp on host {HOST}: {path} is in use by the file {above}"
    )
    assert Path(path).exists()
    # What an admin does then: back to the vm's own disk.
    xml = domain.XMLDesc().replace(str(above), path)
    snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
    host.connection.defineXML(xml)
    Path(above).unlink()
    ended = about_vm(host, "remove", vm)
    assert ended.state is State.DONE, ended.failure
    assert not Path(path).exists()


def test_another_version_has_another_base_and_the_old_one_goes_with_its_last_vm(
    host: Host,
) -> None:
    old = set(base_files(host))
    image = host.folder / "image.raw"
    with image.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.truncate(file.tell() + 4096)
    prepared = about_image(host, "prepare")
    assert prepared.state is State.DONE, prepared.failure
    both = set(base_files(host))
    assert old < both and len(both) == 2
    for domain in host.connection.listAllDomains():
        made = definition.describe(domain.XMLDesc()).made
        if made is not None:
            spec = RemoveSpec(name=domain.name(), host=HOST, uuid=domain.UUIDString())
            ended = ask(host, spec)
            assert ended.state is State.DONE, ended.failure
    assert set(base_files(host)) == both - old
    assert about_image(host, "release").state is State.DONE
    assert host.files() == []
    assert host.context.journal.bases() == ()


def test_a_release_beside_clones_takes_nothing_from_them(host: Host) -> None:
    """Whoever comes first: every clone is whole, and no base is left without an entry."""
    assert about_image(host, "prepare").state is State.DONE
    over = threading.Event()
    ends: list[State] = []

    def release_again_and_again() -> None:
        other = Host.__new__(Host)
        other.__dict__ = dict(host.__dict__)
        other.context = main.JobContext(
            type(host.context.journal)(host.settings.state_dir), host.context.settings, print
        )
        while not over.is_set():
            ends.append(about_image(other, "release").state)

    thread = threading.Thread(target=release_again_and_again)
    thread.start()
    try:
        made = [cloned(host, f"race{number}.example.jp") for number in range(4)]
    finally:
        over.set()
        thread.join()
    assert ends
    for request in made:
        chain = layers(request.vm.disks[0].source)
        assert len(chain) == 2
        assert all(Path(layer).exists() for layer in chain)
    known = host.context.journal.bases()
    journaled = {disk.name for base in known for disk in base.disks}
    assert set(base_files(host)) == journaled
