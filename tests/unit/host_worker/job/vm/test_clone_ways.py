# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones that are customized by cloud-init, or not at all, on a host in memory."""

from __future__ import annotations

import email
import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pycdlib
import pytest
from maglica.disk.partitions import HEAD
from maglica.domain import definition
from maglica.host_worker.job.vm import remove
from maglica.model.request import Customize, Nic, Request, State, User, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.remove import RemoveSpec
from support.fake_host import IMAGE, NAMES, FakeHost, assert_clean
from support.fake_libvirt import Domain
from support.seeded_host import Guests

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample me"
HASH = "$6$salt$confidential"
DATA = "#cloud-config\nruncmd: [[echo, confidential]]\n"
MIB = 1 << 20
AUTO, CLOUD_INIT, OFFLINE, NONE = Customize


def seed_of(host: FakeHost, request: Request, target: str = "sda") -> dict[str, bytes]:
    """Return the files on the medium that was made for a request's vm."""
    uuid = vm_uuid(request.id)
    path = host.pool / f"{request.name}.{target}.{uuid[:8]}.iso"
    assert path.stat().st_mode & 0o777 == 0o600
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    files = {}
    for name in ("meta-data", "user-data", "network-config"):
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, joliet_path=f"/{name}")
        files[name] = content.getvalue()
    iso.close()
    return files


def domain_of(host: FakeHost, request: Request) -> Domain:
    (found,) = [each for each in host.connection.domains if each.name() == request.name]
    return found


def test_cloud_init_is_told_all_and_the_disks_are_left_alone(
    host: FakeHost, guests: Guests
) -> None:
    host.add_image(["vda", "vdb"])
    nic = Nic(network="default", addresses=("192.0.2.7/24",), gateways=("192.0.2.1",))
    user = User("admin", ("adm",), "ALL=(ALL) ALL", ssh_authorized_keys=(KEY,), password=HASH)
    request = host.request(interfaces=(nic,), user=user, ssh_authorized_keys=(KEY,))
    (done,) = host.run(request)
    assert done.state is State.DONE, done.failure
    assert [phase.name for phase in done.phases] == ["base", "copy", "customize", "define", "start"]
    # No appliance has seen a disk of it.
    assert (host.batches, host.guests) == ([], {})
    files = seed_of(host, request)
    meta = json.loads(files["meta-data"])
    assert meta == {"instance-id": done.vm.uuid, "local-hostname": "vm0"}
    told = json.loads(files["user-data"].partition(b"\n")[2])
    root, admin = told["users"][1:]
    assert (root["name"], root["ssh_authorized_keys"]) == ("root", [KEY])
    assert (admin["name"], admin["hashed_passwd"]) == ("admin", HASH)
    assert admin["groups"] == ["admin", "adm"]
    assert told["ssh_keys"]["ed25519_private"] == "PRIVATE"
    assert told["ssh_keys"]["ed25519_public"].startswith(done.vm.ssh_host_keys[0])
    (card,) = json.loads(files["network-config"])["ethernets"].values()
    assert card["match"] == {"macaddress": done.vm.interfaces[0].mac}
    assert card["addresses"] == ["192.0.2.7/24"]


def test_the_seed_is_the_vm_s_own_and_says_why_it_is_there(host: FakeHost, guests: Guests) -> None:
    image = host.add_image()
    request = host.request(user_data=DATA)
    (done,) = host.run(request)
    reason = "its cloud-init is enabled and asks NoCloud"
    assert (done.vm.customize, done.vm.customize_reason) == ("cloud-init", reason)
    assert [(disk.target, disk.device) for disk in done.vm.disks] == [
        ("vda", "disk"),
        ("sda", "cdrom"),
    ]
    made = definition.describe(domain_of(host, request).xml).made
    name = f"vm0.example.jp.sda.{done.vm.uuid[:8]}.iso"
    assert [volume.name for volume in made.volumes][1:] == [name]
    message = email.message_from_bytes(seed_of(host, request)["user-data"])
    assert DATA.encode() in [part.get_payload(decode=True) for part in message.walk()]
    assert "confidential" not in domain_of(host, request).xml
    host.connection.domains.remove(image)
    removal = Request(new_request_id(), RemoveSpec(done.name, done.vm.uuid, done.vm.host))
    host.context.journal.accept([removal])
    remove.remove(removal, host.context)
    assert [each for each in host.volumes() if each.startswith("vm0.")] == []


def test_a_seed_of_the_image_is_taken_out(host: FakeHost, guests: Guests, tmp_path: Path) -> None:
    image = host.add_image()
    host.run(host.request(NAMES[1]))
    seed = next(host.pool / name for name in host.volumes() if name.endswith(".iso"))
    other = tmp_path / "other.iso"
    other.write_bytes(bytes(40 << 10))
    cdrom = (
        "<disk type='file' device='cdrom'><source file='{path}'/><readonly/>"
        "<target dev='{target}' bus='sata'/></disk>"
    )
    drives = cdrom.format(path=seed, target="sda") + cdrom.format(path=other, target="sdb")
    image.xml = image.xml.replace("<interface", f"{drives}<interface", 1)
    offline, seeded = host.request(NAMES[0], customize=OFFLINE), host.request(NAMES[2])
    assert [done.state for done in host.run(offline, seeded)] == [State.DONE] * 2
    media = {
        name: [disk.source for disk in definition.describe(domain_of(host, each).xml).disks[1:]]
        for name, each in (("offline", offline), ("seeded", seeded))
    }
    assert media["offline"] == [str(seed), str(other)]
    own = host.pool / f"{seeded.name}.sdc.{vm_uuid(seeded.id)[:8]}.iso"
    assert media["seeded"] == [None, str(other), str(own)]


@pytest.mark.parametrize(
    "told",
    [
        "<sysinfo type='smbios'><system><entry name='serial'>ds=nocloud;i=1;h=web0</entry></system>"
        "</sysinfo>",
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg"
        " value='-smbios'/><qemu:arg value='type=1,serial=ds=nocloud-net;s=http://192.0.2.1/'/>"
        "</qemu:commandline>",
    ],
)
def test_an_image_that_is_told_who_it_is_by_its_definition(
    host: FakeHost, guests: Guests, told: str
) -> None:
    image = host.add_image()
    image.xml = image.xml.replace("</domain>", f"{told}</domain>")
    seeded, none = host.request(), host.request(NAMES[1], customize=NONE)
    failed, done = host.run(seeded, none)
    assert (failed.state, failed.failure.code) == (State.FAILED, "guest_unsupported")
    assert "tells its cloud-init 'ds=nocloud" in failed.failure.text
    assert done.state is State.DONE


def test_an_image_with_a_seed_as_a_disk(host: FakeHost, guests: Guests, tmp_path: Path) -> None:
    image = host.add_image()
    host.run(host.request(NAMES[1]))
    seed = next(host.pool / name for name in host.volumes() if name.endswith(".iso"))
    source = f"<source file='{seed}'/><readonly/><target dev='vdz'/>"
    disk = f"<disk type='file' device='disk'>{source}</disk>"
    image.xml = image.xml.replace("<interface", f"{disk}<interface", 1)
    (failed,) = host.run(host.request())
    assert (failed.state, failed.failure.code) == (State.FAILED, "guest_unsupported")
    assert "disk vdz is a seed for cloud-init" in failed.failure.text


def test_a_batch_of_all_ways_is_grouped(host: FakeHost, guests: Guests) -> None:
    host.add_image()
    names = [f"vm{number}.example.jp" for number in range(6)]
    asked = [OFFLINE, AUTO, NONE, CLOUD_INIT, OFFLINE, NONE]
    requests = [host.request(name, customize=each) for name, each in zip(names, asked)]
    results = host.run(*requests)
    assert [done.state for done in results] == [State.DONE] * 6
    assert [done.vm.customize for done in results] == [
        *("offline", "cloud-init", "none", "cloud-init", "offline", "none")
    ]
    assert host.batches == [[requests[0].id, requests[4].id]]
    assert sorted(base.way.value for base in host.context.journal.bases()) == [
        *("cloud-init", "none", "offline")
    ]
    assert len([name for name in host.volumes() if name.endswith(".iso")]) == 2


def test_none_changes_nothing_inside(host: FakeHost, guests: Guests) -> None:
    host.add_image()
    request = host.request(customize=NONE)
    (done,) = host.run(request)
    assert done.state is State.DONE, done.failure
    assert [phase.name for phase in done.phases] == ["base", "copy", "define", "start"]
    reason = "asked for: each clone keeps what it finds inside"
    assert (done.vm.customize, done.vm.customize_reason) == ("none", reason)
    assert (done.vm.ssh_host_keys, host.batches, host.prepared) == ((), [], [])
    assert [name for name in host.volumes() if name.endswith(".iso")] == []


def test_none_lets_only_the_disk_grow(host: FakeHost, guests: Guests) -> None:
    host.add_image(size=64 * MIB)
    (done,) = host.run(host.request(customize=NONE, disk_size_mib=128))
    assert done.state is State.DONE, done.failure
    assert [(size, patches) for _kind, size, patches in host.grown.values()] == [(128 * MIB, ())]
    assert host.heads_read == 0


def test_a_larger_disk_is_filled_by_cloud_init(host: FakeHost, guests: Guests) -> None:
    head = bytearray(HEAD)
    struct.pack_into("<B3sB3sII", head, 446, 0, b"", 0x83, b"", 2048, 8192)
    head[510:512] = b"\x55\xaa"
    host.head = bytes(head)
    host.add_image(size=64 * MIB)
    guests.facts = replace(guests.facts, grows=True)
    (done,) = host.run(host.request(disk_size_mib=128))
    assert done.state is State.DONE, done.failure
    ((_kind, size, (patch,)),) = host.grown.values()
    assert size == 128 * MIB
    assert struct.unpack_from("<II", patch.content, 454) == (2048, 128 * MIB // 512 - 2048)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "its cloud-init does not let the root file system grow"),
        ({"grows": True, "root_device": "/dev/vg0/root"}, "a volume of LVM"),
        ({"grows": True, "root_device": ""}, "its root file system is not found"),
        ({"grows": True, "root_kind": "f2fs"}, "its root file system is 'f2fs'"),
    ],
)
def test_what_cloud_init_would_not_let_grow(
    host: FakeHost, guests: Guests, facts: dict[str, Any], text: str
) -> None:
    host.add_image(size=64 * MIB)
    guests.facts = replace(guests.facts, **facts)
    request = host.request(disk_size_mib=128)
    (failed,) = host.run(request)
    assert failed.failure.code == "disk_size_unsupported"
    assert text in failed.failure.text
    assert_clean(host, request)


def test_bad_user_data_fails_before_anything_is_made(host: FakeHost, guests: Guests) -> None:
    host.add_image()
    bad = host.request(user_data="#cloud-config\nhostname: other\n")
    failed, done = host.run(bad, host.request(NAMES[1]))
    assert (failed.failure.code, done.state) == ("name_invalid", State.DONE)
    assert "user_data has what Maglica sets itself" in failed.failure.text
    assert [phase.name for phase in failed.phases] == []
    assert [name for name in host.volumes() if name.startswith("vm0.")] == []


def test_user_data_that_nothing_would_read(host: FakeHost, guests: Guests) -> None:
    host.add_image()
    guests.cloud_init = "is disabled by /etc/cloud/cloud-init.disabled"
    requests = [host.request(user_data=DATA), host.request(NAMES[1])]
    failed, done = host.run(*requests)
    assert (failed.failure.code, done.vm.customize) == ("guest_unsupported", "offline")
    assert done.vm.customize_reason == f"its cloud-init {guests.cloud_init}"
    assert failed.failure.text == (
        f"cannot clone {IMAGE} as vm0.example.jp on host kvm0.example.jp: user_data is for"
        f" cloud-init, and it is customized offline, since its cloud-init {guests.cloud_init};"
        " leave user_data out, or enable cloud-init in the image"
    )
    assert "confidential" not in failed.failure.text


def test_what_an_image_can_not_do_fails_those_only_that_ask_for_it(
    host: FakeHost, guests: Guests
) -> None:
    host.add_image()
    guests.cloud_init, guests.offline = "is not there", "its system is unknown"
    asked = (AUTO, CLOUD_INIT, NONE)
    requests = [host.request(name, customize=each) for name, each in zip(NAMES, asked)]
    auto, seeded, done = host.run(*requests)
    assert done.state is State.DONE, done.failure
    assert "customize: none clones it as it is inside" in auto.failure.text
    assert "it can't be customized by cloud-init: its cloud-init is not there" in (
        seeded.failure.text
    )
    assert host.clones() == [NAMES[2]]


def test_a_medium_is_never_laid_over_a_file_that_is_there(host: FakeHost, guests: Guests) -> None:
    host.add_image()
    request = host.request()
    there = host.pool / f"vm0.example.jp.sda.{vm_uuid(request.id)[:8]}.iso"
    there.write_bytes(b"mine")
    (failed,) = host.run(request)
    assert failed.failure.code == "storage_failed"
    assert f"{there} is there already" in failed.failure.text
    assert there.read_bytes() == b"mine"


def test_no_secret_stays_in_the_journal(host: FakeHost, guests: Guests) -> None:
    host.add_image()
    user = User("admin", password=HASH)
    host.run(host.request(user=user, user_data=DATA))
    host.run(host.request(NAMES[1], user=user, user_data=DATA, customize=CLOUD_INIT, pool="x"))
    host.context.journal.close()
    kept = b"".join(path.read_bytes() for path in host.state_dir.rglob("*.sqlite*"))
    assert b"admin" in kept
    assert b"confidential" not in kept
    # The key too was in the request's folder for a moment only.
    assert [path for path in host.state_dir.rglob("*") if "keys" in path.parts[-2:-1]] == []
