# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones on a host in memory: what comes out."""

from __future__ import annotations

from dataclasses import replace

from maglica.disk import volumes
from maglica.domain import definition
from maglica.guest.edits import SetPassword, Write
from maglica.model.request import CloneMode, Nic, State, User
from maglica.model.vm import vm_uuid
from maglica.verbs.clone import marks
from support.fake_host import IMAGE, NAMES, FakeHost


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
    assert vm.active and vm.made and (vm.image, vm.request, vm.who) == (IMAGE, request.id, "alice")
    assert [disk.target for disk in vm.disks] == ["vda", "vdb"]
    assert tuple(disk.source for disk in vm.disks) == tuple(
        str(host.pool / name) for name in volumes
    )
    assert vm.ssh_host_keys == (f"ssh-ed25519 {'A' * 68}",)
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
    (disk,) = done.vm.disks
    assert disk.source == str(host.pool / f"My_VM_1____.vda.{done.vm.uuid[:8]}.qcow2")


def test_what_was_asked_for_is_recorded_without_secrets(host: FakeHost) -> None:
    host.add_image()
    asked = {"interfaces": (Nic("default"),), "user": User("admin", password="$6$salt$hashhash")}
    request = host.request("vm0.example.jp", **asked)
    (done,) = host.run(request)
    assert done.state is State.DONE, done.failure
    xml = host.context.connect().lookupByName("vm0.example.jp").XMLDesc(0)
    assert "hashhash" not in xml
    made = definition.describe(xml).made
    # The pool that was chosen counts, as if it was asked for.
    spec = replace(request.spec, pool="default")
    assert set(made.asked) == set(marks(spec).values())


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
