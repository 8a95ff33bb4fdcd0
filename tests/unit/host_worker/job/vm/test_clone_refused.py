# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be cloned, on a host in memory: the error, and that nothing is left."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from maglica.disk import mounts, qemu_img
from maglica.disk.room import Room
from maglica.model.errors import ImageUnsupported
from maglica.model.request import CloneMode, Nic, State
from support import made_image
from support.fake_host import IMAGE, NAMES, FakeHost, assert_clean


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
    host.add_image()
    host.settings = replace(host.settings, image_pattern=re.compile("golden.*"))
    host.context = host.new_context()
    refused(host, "image_unknown", "image_pattern")


def test_the_pattern_is_not_for_images_that_maglica_made(host: FakeHost) -> None:
    host.add_image(uuid=made_image.UUID, metadata=made_image.metadata())
    host.settings = replace(host.settings, image_pattern=re.compile("golden.*"))
    host.context = host.new_context()
    (done,) = host.run(host.request())
    assert done.state is State.DONE, done.failure
    assert done.vm.made
    assert (done.vm.is_image, done.vm.checksum) == (False, None)


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


def test_an_unsupported_definition(host: FakeHost) -> None:
    image = host.add_image()
    device = "<hostdev mode='subsystem' type='pci'/></devices>"
    image.xml = image.xml.replace("</devices>", device)
    refused(host, ImageUnsupported.code, "passes a pci device")
