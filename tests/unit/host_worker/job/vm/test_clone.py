# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones on a host in memory: what comes out, what is undone, and what survives a kill."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.disk import mounts, qemu_img, volumes
from maglica.disk.room import Room
from maglica.domain import definition
from maglica.guest.edits import SetPassword, Write
from maglica.host_worker.job import undo
from maglica.host_worker.job.context import key_folder
from maglica.host_worker.job.vm import clone
from maglica.host_worker.ownership import references
from maglica.model.errors import (
    GuestUnreadable,
    HostDown,
    ImageUnsupported,
    MaglicaError,
    NoRoom,
    StorageFailed,
)
from maglica.model.request import CloneMode, Nic, Request, State
from maglica.model.vm import vm_uuid
from support.fake_host import IMAGE, FakeHost, Killed
from support.fake_libvirt import VIR_FROM_RPC, Domain, libvirtError

NAMES = ("vm0.example.jp", "vm1.example.jp", "vm2.example.jp")


def assert_clean(host: FakeHost, *requests: Request) -> None:
    """Nothing of these requests is left, in libvirt, on the disk or in the journal."""
    assert host.clones() == []
    assert host.volumes() == host.bases()
    ready = [base for base in host.context.journal.bases() if base.state == "ready"]
    known = [disk.name for base in ready for disk in base.disks]
    assert host.bases() == sorted(known)
    assert len(ready) == len(host.context.journal.bases())
    for request in requests:
        assert host.context.journal.intents(request.id) == ()
        assert not key_folder(host.context, request.id).exists()


def test_a_linked_clone(host: FakeHost) -> None:
    image = host.add_image(["vda", "vdb"])
    request = host.request(
        ssh_authorized_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me",),
        root_password="$6$salt$hash1234",
    )
    (done,) = host.run(request)
    assert done.state is State.DONE
    assert [phase.name for phase in done.phases] == ["base", "copy", "customize", "define", "start"]
    uuid = vm_uuid(request.id)
    volumes = [f"vm0.example.jp.{target}.{uuid[:8]}.qcow2" for target in ("vda", "vdb")]
    assert [name for name in host.volumes() if name not in host.bases()] == volumes
    vm = done.vm
    assert (vm.name, vm.uuid, vm.host, vm.state) == (NAMES[0], uuid, "kvm0.example.jp", "running")
    assert vm.disks == tuple(str(host.pool / name) for name in volumes)
    assert vm.ssh_host_keys == ("ssh-ed25519 AAAA vm0.example.jp",)
    (domain,) = [domain for domain in host.connection.domains if domain is not image]
    made = definition.describe(domain.xml).made
    assert (made.image, made.request, made.who) == (IMAGE, request.id, "alice")
    assert host.context.journal.intents(request.id) == ()
    assert image.active is False


def test_the_guest_gets_its_identity(host: FakeHost) -> None:
    host.add_image()
    nic = Nic(network="default", addresses=("192.0.2.7/24",), gateways=("192.0.2.1",))
    request = host.request(interfaces=(nic,), root_password="$6$salt$hash1234")
    (done,) = host.run(request)
    edits = host.guests[request.id].edits
    files = {edit.path: edit.content.decode() for edit in edits if isinstance(edit, Write)}
    assert files["/etc/hostname"] == "vm0.example.jp\n"
    assert "address 192.0.2.7/24" in files["/etc/network/interfaces"]
    assert done.vm.interfaces[0].mac in files["/etc/udev/rules.d/70-maglica-net.rules"]
    assert len(files["/etc/machine-id"].strip()) == 32
    assert files["/etc/ssh/ssh_host_ed25519_key"] == "PRIVATE"
    assert [edit.user for edit in edits if isinstance(edit, SetPassword)] == ["root"]


def test_a_name_that_is_no_host_name_has_one_beside_it(host: FakeHost) -> None:
    host.add_image()
    request = host.request("My VM_1 (ü)", hostname="vm7.example.jp")
    (done,) = host.run(request)
    assert done.state is State.DONE, done.failure
    edits = host.guests[request.id].edits
    files = {edit.path: edit.content.decode() for edit in edits if isinstance(edit, Write)}
    assert files["/etc/hostname"] == "vm7.example.jp\n"
    assert done.vm.name == "My VM_1 (ü)"
    assert done.vm.ssh_host_keys == ("ssh-ed25519 AAAA vm7.example.jp",)
    (path,) = done.vm.disks
    assert path == str(host.pool / f"My_VM_1____.vda.{done.vm.uuid[:8]}.qcow2")


def test_a_batch_shares_base_and_appliance(host: FakeHost) -> None:
    host.add_image()
    requests = [host.request(name) for name in NAMES]
    assert [done.state for done in host.run(*requests)] == [State.DONE] * 3
    assert (len(host.copied), len(host.prepared)) == (1, 1)
    assert host.batches == [[request.id for request in requests]]
    ids = [host.guests[request.id].edits[2].content for request in requests]
    assert len(set(ids)) == 3


def test_the_base_serves_the_next_clone(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0]))
    host.run(host.request(NAMES[1]))
    assert (len(host.copied), len(host.prepared)) == (1, 1)
    assert len(host.batches) == 2


def test_a_full_copy_has_no_backing_file(host: FakeHost) -> None:
    host.add_image()
    request = host.request(clone_mode=CloneMode.FULL)
    (done,) = host.run(request)
    assert done.state is State.DONE
    assert host.copied == [str(host.folder / f"{IMAGE}.vda.img"), str(host.pool / host.bases()[0])]
    name = volumes.of_vm("vm0.example.jp", "vda", vm_uuid(request.id)) + ".qcow2"
    assert b"maglica-base" not in (host.pool / name).read_bytes()


def test_a_vm_that_is_not_to_be_started(host: FakeHost) -> None:
    host.add_image()
    (done,) = host.run(host.request(start=False))
    assert done.vm.state == "stopped"
    assert "create" not in host.connection.calls


def test_images_apart(host: FakeHost) -> None:
    host.add_image()
    host.add_image(name="other.original")
    one, two = host.request(NAMES[0]), host.request(NAMES[1], image="other.original")
    assert [done.state for done in host.run(one, two)] == [State.DONE] * 2
    assert host.batches == [[one.id], [two.id]]


def nvram_of(host: FakeHost, request: Request) -> Path:
    return host.folder / f"vm0.example.jp.{vm_uuid(request.id)[:8]}_VARS.fd"


def test_uefi_variables_are_copied(host: FakeHost) -> None:
    source = host.folder / "image_VARS.fd"
    source.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{source}</nvram>")
    request = host.request()
    host.run(request)
    assert nvram_of(host, request).read_bytes() == b"variables"


def test_uefi_variables_in_a_place_that_the_definition_does_not_state(host: FakeHost) -> None:
    host.connection.nvram = host.folder
    (host.folder / f"{IMAGE}_VARS.fd").write_bytes(b"variables")
    host.add_image(firmware=" firmware='efi'")
    request = host.request()
    (done,) = host.run(request)
    assert done.state is State.DONE
    own = nvram_of(host, request)
    assert own.read_bytes() == b"variables"
    made = definition.describe(host.connection.domains[-1].xml)
    assert (made.nvram, made.made.nvram) == (str(own), str(own))


def test_an_image_that_never_ran_has_no_uefi_variables_yet(host: FakeHost) -> None:
    host.connection.nvram = host.folder
    host.add_image(firmware=" firmware='efi'")
    request = host.request()
    (done,) = host.run(request)
    assert done.state is State.DONE
    assert not nvram_of(host, request).exists()
    made = definition.describe(host.connection.domains[-1].xml)
    assert made.nvram == str(nvram_of(host, request))


def test_uefi_variables_that_libvirt_made_go_with_a_vm_that_does_not_start(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.connection.nvram = host.folder
    host.add_image(firmware=" firmware='efi'")
    request = host.request()

    def create(domain: Domain) -> None:
        Path(definition.describe(domain.xml).nvram).write_bytes(b"template")
        raise libvirtError("it does not start")

    monkeypatch.setattr(Domain, "create", create)
    (failed,) = host.run(request)
    assert failed.state is State.FAILED
    assert not nvram_of(host, request).exists()
    assert_clean(host, request)


@pytest.mark.parametrize("source_exists", [True, False])
@pytest.mark.parametrize("is_link", [True, False])
def test_uefi_variables_that_are_there_are_kept(
    host: FakeHost, source_exists: bool, is_link: bool
) -> None:
    source = host.folder / "image_VARS.fd"
    if source_exists:
        source.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{source}</nvram>")
    request = host.request()
    theirs = nvram_of(host, request)
    if is_link:
        theirs.symlink_to("nowhere")
    else:
        theirs.write_bytes(b"another vm's")
    (failed,) = host.run(request)
    assert failed.failure.code == "storage_failed"
    assert f"{theirs}, for its UEFI variables, is there already" in failed.failure.text
    assert theirs.is_symlink() if is_link else theirs.read_bytes() == b"another vm's"


def test_uefi_variables_are_removed_when_the_clone_fails(host: FakeHost) -> None:
    source = host.folder / "image_VARS.fd"
    source.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{source}</nvram>")
    host.connection.failures["defineXML"] = [libvirtError("no")]
    request = host.request()
    (failed,) = host.run(request)
    assert failed.state is State.FAILED
    assert not nvram_of(host, request).exists()
    assert_clean(host, request)


# --- what can't be cloned


def refused(host: FakeHost, code: str, text: str, **changes: object) -> None:
    request = host.request(**changes)
    (failed,) = host.run(request)
    assert failed.state is State.FAILED
    assert failed.failure.code == code
    assert failed.failure.text.startswith(
        f"cannot clone {request.spec.image} as vm0.example.jp on host kvm0.example.jp: "
    )
    assert text in failed.failure.text
    assert_clean(host, request)


def test_unknown_image(host: FakeHost) -> None:
    refused(host, "image_unknown", "there is no such image")


def test_running_image(host: FakeHost) -> None:
    host.add_image().active = True
    refused(host, "image_running", "it is running: shut it down")


def test_saved_image(host: FakeHost) -> None:
    host.add_image().saved = True
    refused(host, "image_unsupported", "it has a saved state")


def test_transient_image(host: FakeHost) -> None:
    host.add_image().persistent = False
    refused(host, "image_unknown", "transient")


def test_a_vm_is_no_image(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[1]))
    request = host.request(NAMES[2], image=NAMES[1])
    host.connection.domains[-1].active = False
    assert "Maglica made" in host.run(request)[0].failure.text


def test_image_pattern(host: FakeHost) -> None:
    import re

    host.add_image()
    host.settings = replace(host.settings, image_pattern=re.compile("golden.*"))
    host.context = host.new_context()
    refused(host, "image_unknown", "image_pattern")


def test_name_taken(host: FakeHost) -> None:
    host.add_image()
    host.add_image(name="vm0.example.jp")
    request = host.request()
    (failed,) = host.run(request)
    assert failed.failure.code == "name_taken"
    assert "a domain named vm0.example.jp" in failed.failure.text


def test_a_disk_that_is_gone(host: FakeHost) -> None:
    host.add_image()
    (host.folder / f"{IMAGE}.vda.img").unlink()
    refused(host, "storage_failed", "can't be read: No such file")


def test_an_image_without_disks(host: FakeHost) -> None:
    host.add_image([])
    refused(host, "image_unsupported", "no disk to copy")


def test_nameservers_without_addresses(host: FakeHost) -> None:
    host.add_image()
    nic = Nic(network="default", nameservers=("192.0.2.53",))
    refused(host, "guest_unsupported", "need an address", interfaces=(nic,))


def test_no_room(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add_image()
    monkeypatch.setattr(mounts, "room", lambda path: Room(1 << 40, 1000))
    refused(host, "no_room", "pool default has 0.0 GiB free, 0.1 GiB needed")


def test_a_large_sparse_image_takes_the_room_of_what_is_in_it(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image()
    with (host.folder / f"{IMAGE}.vda.img").open("r+b") as disk:
        disk.truncate(3 << 40)
    monkeypatch.setattr(mounts, "room", lambda path: Room(1 << 40, 70 << 20))
    requests = [host.request(NAMES[0]), host.request(NAMES[1], clone_mode=CloneMode.FULL)]
    assert [done.state for done in host.run(*requests)] == [State.DONE] * 2


def test_full_copies_of_a_batch_do_not_take_the_same_room(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image()
    monkeypatch.setattr(mounts, "room", lambda path: Room(1 << 40, 150 << 20))
    requests = [host.request(name, clone_mode=CloneMode.FULL) for name in NAMES]
    states = [done.state for done in host.run(*requests)]
    assert states == [State.DONE, State.DONE, State.FAILED]
    assert host.now(requests[2]).failure.code == "no_room"


def test_unknown_pool(host: FakeHost) -> None:
    host.add_image()
    refused(host, "storage_failed", "no active storage pool fast", pool="fast")


def test_an_image_that_is_started_during_the_copy(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = host.add_image()
    monkeypatch.setattr(qemu_img, "copy", lambda *_rest: setattr(image, "active", True))
    refused(host, "image_running", "changed while they were read")


def test_an_image_that_is_written_to_during_the_copy(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image()
    disk = host.folder / f"{IMAGE}.vda.img"
    monkeypatch.setattr(qemu_img, "copy", lambda *_rest: disk.write_bytes(b"new"))
    refused(host, "image_running", "changed while they were read")


# --- what goes wrong on the way


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("copy", NoRoom("disk full")),
        ("copy", StorageFailed("bad sector")),
        ("prepare", GuestUnreadable("no operating system")),
        ("keys", StorageFailed("no ssh-keygen")),
        ("customize", StorageFailed("no fork")),
    ],
)
def test_a_broken_step_fails_all_and_leaves_nothing(
    host: FakeHost, step: str, error: MaglicaError
) -> None:
    host.add_image()
    host.broken[step] = error
    requests = [host.request(name) for name in NAMES]
    for name, failed in zip(NAMES, host.run(*requests)):
        assert failed.failure.code == error.code
        head = f"cannot clone {IMAGE} as {name} on host kvm0.example.jp: "
        pool = "pool default has [0-9.]+ GiB free: " if isinstance(error, NoRoom) else ""
        assert re.fullmatch(f"{head}{pool}{error}", failed.failure.text)
    assert_clean(host, *requests)


@pytest.mark.parametrize(
    ("call", "number", "code"),
    [
        ("createXML", 0, "storage_failed"),
        ("createXML", 2, "storage_failed"),
        ("defineXML", 0, "libvirt_failed"),
        ("create", 0, "libvirt_failed"),
    ],
)
def test_libvirt_refuses(host: FakeHost, call: str, number: int, code: str) -> None:
    host.add_image(["vda", "vdb"])
    called = host.connection.called
    calls = [0]

    def failing(name: str) -> None:
        called(name)
        if name == call:
            calls[0] += 1
            if calls[0] == number + 1:
                raise libvirtError("no, because of reasons")

    host.connection.called = failing
    request = host.request()
    (failed,) = host.run(request)
    assert failed.failure.code == code
    assert "no, because of reasons" in failed.failure.text
    assert_clean(host, request)


def test_one_member_s_failure_is_its_own(host: FakeHost) -> None:
    host.add_image()
    good, bad, full = (host.request(name) for name in NAMES)
    host.unlucky[bad.id] = GuestUnreadable("bad superblock")
    assert [done.state for done in host.run(good, bad, full)] == [
        State.DONE,
        State.FAILED,
        State.DONE,
    ]
    assert host.clones() == [NAMES[0], NAMES[2]]
    assert [name for name in host.volumes() if NAMES[1] in name] == []


def test_a_full_disk_is_told_from_a_hung_appliance(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add_image()
    request = host.request()
    host.unlucky[request.id] = GuestUnreadable("the appliance ended")
    real = mounts.room
    full = {"": False}
    monkeypatch.setattr(mounts, "room", lambda path: Room() if full[""] else real(path))
    customize = host.customize

    def fill(*values: object) -> object:
        full[""] = True
        return customize(*values)

    monkeypatch.setattr(clone, "customize", fill)
    (failed,) = host.run(request)
    assert failed.failure.code == "no_room"
    assert "pool default has 0.0 GiB free: the appliance ended" in failed.failure.text


def test_a_failure_that_can_not_be_undone_stays_open(host: FakeHost) -> None:
    host.add_image()
    request = host.request()
    host.unlucky[request.id] = GuestUnreadable("bad superblock")
    host.connection.failures["delete"] = [libvirtError("busy")]
    host.run(request)
    entry = host.context.journal.entry(request.id)
    assert (entry.request.state, entry.ending) == (State.RUNNING, State.FAILED)
    assert host.context.journal.intents(request.id) != ()
    undo.undo(request.id, host.context)
    assert_clean(host, request)


# --- bases


def change(host: FakeHost) -> None:
    (host.folder / f"{IMAGE}.vda.img").write_bytes(b"another version")


def test_a_new_version_has_a_new_base_and_the_old_one_serves_on(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0]))
    change(host)
    host.run(host.request(NAMES[1]))
    assert len(host.bases()) == 2
    assert len({base.version for base in host.context.journal.bases()}) == 2


def test_an_old_base_that_nothing_uses_goes(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0], clone_mode=CloneMode.FULL))
    old = host.bases()
    change(host)
    host.run(host.request(NAMES[1]))
    assert len(host.bases()) == 1
    assert host.bases() != old


def test_the_newest_base_stays_without_clones(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(clone_mode=CloneMode.FULL))
    clone.unused_bases.collect(host.context)
    assert len(host.bases()) == 1


def test_the_base_of_an_image_that_is_gone_goes(host: FakeHost) -> None:
    image = host.add_image()
    linked = host.request(NAMES[0])
    host.run(linked)
    host.connection.domains.remove(image)
    clone.unused_bases.collect(host.context)
    assert len(host.bases()) == 1
    (host.pool / f"{volumes.of_vm(NAMES[0], 'vda', vm_uuid(linked.id))}.qcow2").unlink()
    host.connection.domains.clear()
    clone.unused_bases.collect(host.context)
    assert host.bases() == []
    assert host.context.journal.bases() == ()


def test_a_base_below_an_overlay_outside_the_pools_stays(host: FakeHost) -> None:
    from support.fake_host import DEFINITION, DISK
    from support.qcow2 import BACKING_FORMAT, header

    image = host.add_image()
    host.run(host.request(clone_mode=CloneMode.FULL))
    (name,) = host.bases()
    backing = str(host.pool / name).encode()
    overlay = host.folder / "elsewhere.qcow2"
    overlay.write_bytes(header(backing=backing, extensions=[(BACKING_FORMAT, b"qcow2")]))
    disks = DISK.format(format="qcow2", path=overlay, target="vda")
    host.connection.defineXML(DEFINITION.format(name="theirs", disks=disks, nvram="", firmware=""))
    host.connection.domains.remove(image)
    clone.unused_bases.collect(host.context)
    assert host.bases() == [name]


def old_base_in_use(host: FakeHost) -> str:
    """Make a vm of an image that changes afterwards; return the name of the base below the vm."""
    host.add_image()
    host.run(host.request(NAMES[0]))
    (name,) = host.bases()
    change(host)
    host.run(host.request(NAMES[1], clone_mode=CloneMode.FULL))
    return name


def test_a_pool_behind_a_link_hides_no_use(host: FakeHost) -> None:
    real = host.pool.with_name("real")
    host.pool.rename(real)
    host.pool.symlink_to(real)
    name = old_base_in_use(host)
    clone.unused_bases.collect(host.context)
    assert name in host.bases()
    assert clone.unused_bases.release(IMAGE, host.context) == 1
    assert host.bases() == [name]


def test_a_base_that_a_vm_says_it_needs_stays_without_its_disk(host: FakeHost) -> None:
    name = old_base_in_use(host)
    for path in host.pool.glob(f"{NAMES[0]}.*"):
        path.unlink()
    clone.unused_bases.collect(host.context)
    assert name in host.bases()


def test_what_can_not_be_read_is_not_taken_for_unused(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = old_base_in_use(host)

    def stale(_path: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(references.os, "scandir", stale)
    with pytest.raises(StorageFailed, match=f"{host.pool} of a storage pool can't be read: Stale"):
        clone.unused_bases.collect(host.context)
    # Work that is done does not fail for it.
    clone.unused_bases.tidy(host.context)
    assert name in host.bases()


def test_releasing_one_image_counts_its_own_bases(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(clone_mode=CloneMode.FULL))
    assert clone.unused_bases.release("other.original", host.context) == 0
    assert clone.unused_bases.release(IMAGE, host.context) == 1
    assert host.bases() == []


def test_what_a_lost_journal_knew_stays(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0]))
    change(host)
    host.run(host.request(NAMES[1], clone_mode=CloneMode.FULL))
    both = host.bases()
    assert len(both) == 2
    host.context.journal.close()
    for path in host.state_dir.glob("host_worker.sqlite*"):
        path.unlink()
    host.context = host.new_context()
    clone.unused_bases.collect(host.context)
    assert host.bases() == both


def test_a_base_whose_pool_is_elsewhere_now_stays(host: FakeHost) -> None:
    """Its folder was renamed, and the pool defined anew: nothing there is shown to be Maglica's."""
    host.add_image()
    host.run(host.request(NAMES[0]))
    (name,) = host.bases()
    (pool,) = host.connection.pools
    moved = host.pool.rename(host.folder / "moved")
    pool.path = moved
    pool.refresh()
    (done,) = host.run(host.request(NAMES[1]))
    assert done.state is State.DONE
    clone.unused_bases.collect(host.context)
    assert clone.unused_bases.release(IMAGE, host.context) == 0
    assert (moved / name).exists()


def test_a_base_of_two_disks_of_which_one_is_away_stays(host: FakeHost) -> None:
    host.add_image(["vda", "vdb"])
    host.run(host.request(NAMES[0]))
    first, second = host.bases()
    away = (host.pool / first).rename(host.folder / "away")
    (done,) = host.run(host.request(NAMES[1]))
    assert done.state is State.DONE
    away.rename(host.pool / first)
    assert {first, second} < set(host.bases())
    assert len(host.bases()) == 4


def test_a_base_whose_file_is_gone_is_made_anew(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request(NAMES[0], clone_mode=CloneMode.FULL))
    (host.pool / host.bases()[0]).unlink()
    (done,) = host.run(host.request(NAMES[1]))
    assert done.state is State.DONE
    assert len(host.context.journal.bases()) == 1


def test_a_base_can_not_be_written_to(host: FakeHost) -> None:
    host.add_image()
    host.run(host.request())
    assert (host.pool / host.bases()[0]).stat().st_mode & 0o777 == 0o400


# --- a process that is killed anywhere


def resume(host: FakeHost, request: Request) -> None:
    """Do what the next job does before it runs a request again."""
    host.kill_at = 0
    host.context = host.new_context()
    defined = [domain.UUIDString() for domain in host.connection.domains]
    if vm_uuid(request.id) not in defined:
        undo.undo(request.id, host.context)


def all_events(host: FakeHost) -> int:
    """Return how many events a whole clone has, from a run that is thrown away."""
    request = host.request("probe.example.jp", image="probe.original")
    host.add_image(["vda", "vdb"], name="probe.original")
    before = host.events
    host.run(request)
    events = host.events - before
    host.connection.domains.clear()
    for base in host.context.journal.bases():
        host.context.journal.remove_base(base.id)
    for pool in host.connection.pools:
        pool.refresh()
        for name in pool.listVolumes():
            Path(pool.path / name).unlink()
        pool.refresh()
    return events


@pytest.mark.parametrize("ends", ["run again", "undone"])
def test_killed_at_every_step(host: FakeHost, ends: str) -> None:
    total = all_events(host)
    assert total > 15
    for number in range(1, total + 1):
        host.add_image(["vda", "vdb"])
        request = host.request()
        host.events, host.kill_at = 0, number
        with pytest.raises(Killed):
            host.run(request)
        resume(host, request)
        if ends == "undone":
            undo.undo(request.id, host.context)
            undo.undo(request.id, host.context)
            assert_clean(host, request)
        else:
            (done,) = host.run(request)
            assert done.state is State.DONE, (number, done.failure)
            assert host.clones() == ["vm0.example.jp"]
            assert len(host.volumes()) == 4, number
            assert host.context.journal.intents(request.id) == ()
        _sweep(host)


def test_libvirtd_gone_at_every_call_fails_nothing(host: FakeHost) -> None:
    real = host.connection.called
    calls = gone_at = 0

    def called(name: str) -> None:
        nonlocal calls
        calls += 1
        if calls == gone_at:
            raise libvirtError("client socket is closed", code=1, domain=VIR_FROM_RPC)
        real(name)

    host.connection.called = called
    host.add_image(["vda", "vdb"])
    host.run(host.request())
    total = calls - 1
    assert total > 10
    for number in range(1, total + 1):
        _sweep(host)
        host.add_image(["vda", "vdb"])
        request = host.request()
        calls, gone_at = 0, number
        with pytest.raises(HostDown, match="client socket is closed"):
            host.run(request)
        assert host.state(request) is State.RUNNING
        resume(host, request)
        (done,) = host.run(request)
        assert done.state is State.DONE, (number, done.failure)
        assert len(host.volumes()) == 4, number
        assert host.context.journal.intents(request.id) == ()


def _sweep(host: FakeHost) -> None:
    host.connection.domains.clear()
    for name in host.volumes():
        (host.pool / name).unlink()
    host.connection.pools[0].refresh()
    for base in host.context.journal.bases():
        host.context.journal.remove_base(base.id)


def test_a_lost_journal_makes_nothing_twice(host: FakeHost) -> None:
    host.add_image()
    request = host.request()
    host.run(request)
    volumes = host.volumes()
    host.context.journal.close()
    for path in host.state_dir.glob("host_worker.sqlite*"):
        path.unlink()
    host.context = host.new_context()
    host.context.journal.accept([request])
    (done,) = host.run(request)
    assert done.state is State.DONE
    assert host.clones() == ["vm0.example.jp"]
    assert host.volumes() == volumes


def test_an_unsupported_definition(host: FakeHost) -> None:
    image = host.add_image()
    device = "<hostdev mode='subsystem' type='pci'/></devices>"
    image.xml = image.xml.replace("</devices>", device)
    refused(host, ImageUnsupported.code, "passes a pci device")
