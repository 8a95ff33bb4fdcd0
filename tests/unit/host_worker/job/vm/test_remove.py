# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal has no way back as soon as the domain is gone: it goes on until all of it is gone."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from maglica.domain.metadata import OwnVolume
from maglica.host_worker.job.vm import remove
from maglica.host_worker.journal.intents import Effect
from maglica.model.errors import HostDown
from maglica.model.request import Failure, Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs.remove import RemoveSpec
from support import fake_libvirt
from support.fake_host import FakeHost, Killed
from support.fake_libvirt import VIR_FROM_RPC, Domain, libvirtError
from support.qcow2 import header

NAME = "vm0.example.jp"


@pytest.fixture
def vm(host: FakeHost) -> str:
    """The UUID of a vm with two disks and no request left open."""
    host.add_image(["vda", "vdb"])
    (made,) = host.run(host.request(NAME))
    assert made.state is State.DONE
    assert len(own_volumes(host)) == 2
    return vm_uuid(made.id)


def removal(host: FakeHost, uuid: str, name: str = NAME) -> Request:
    spec = RemoveSpec(name=name, uuid=uuid, host="kvm0.example.jp")
    return host.asked(spec)


def own_volumes(host: FakeHost) -> list[str]:
    return [name for name in host.volumes() if name.startswith(NAME)]


def assert_gone(host: FakeHost, request: Request) -> None:
    assert (host.clones(), own_volumes(host)) == ([], [])
    assert host.now(request).failure is None
    assert host.context.journal.intents(request.id) == ()


def test_a_vm_whose_name_is_no_host_name(host: FakeHost) -> None:
    host.add_image(["vda", "vdb"])
    empty = host.volumes()
    (made,) = host.run(host.request("Web 1_(ü)", hostname="web1"))
    assert (made.state, len(host.volumes())) == (State.DONE, len(empty) + 4), made.failure
    gone = host.next_job(removal(host, vm_uuid(made.id), "Web 1_(ü)"))
    assert (gone.state, gone.failure, host.clones()) == (State.DONE, None, [])
    assert not [name for name in host.volumes() if name.startswith("Web_1")]


@pytest.mark.parametrize("meanwhile", ["nothing", "cancelled", "died too often"])
@pytest.mark.parametrize("number", range(1, 12))
def test_killed_at_every_step(host: FakeHost, vm: str, number: int, meanwhile: str) -> None:
    request = removal(host, vm)
    assert host.dies(request, number)
    has_begun = bool(host.context.journal.intents(request.id))
    if meanwhile == "cancelled":
        host.context.journal.cancel(request.id)
    elif meanwhile == "died too often":
        host.context.journal.died([request.id], Failure("job_died", "no result"), limit=1)
    ended = host.next_job(request)
    if meanwhile == "nothing" or has_begun:
        assert ended.state is State.DONE
        assert_gone(host, request)
    else:
        assert ended.state is not State.DONE
        assert (host.clones(), len(own_volumes(host))) == ([NAME], 2)


def test_the_steps_above_are_all(host: FakeHost, vm: str) -> None:
    host.events = 0
    host.next_job(removal(host, vm))
    assert host.events == 11


def test_a_volume_that_can_t_be_deleted_at_once(host: FakeHost, vm: str) -> None:
    request = removal(host, vm)
    host.connection.failures["delete"] = [libvirtError("busy"), libvirtError("busy")]
    for _turn in range(2):
        assert not host.next_job(request).state.ended
        assert host.clones() == []
    assert host.now(request).failure.text.startswith(
        f"cannot remove {NAME} on host kvm0.example.jp: volume {NAME}.vdb."
    )
    assert host.next_job(request).state is State.DONE
    assert_gone(host, request)


def test_a_pool_that_stops_in_between(host: FakeHost, vm: str) -> None:
    request = removal(host, vm)
    host.connection.failures["delete"] = [libvirtError("busy")]
    host.next_job(request)
    assert host.clones() == []
    (pool,) = host.connection.pools
    pool.active = False
    assert not host.next_job(request).state.ended
    pool.active = True
    assert host.next_job(request).state is State.DONE
    assert_gone(host, request)


def test_a_disk_in_a_pool_that_is_not_active(host: FakeHost, vm: str) -> None:
    (pool,) = host.connection.pools
    pool.active = False
    request = host.next_job(removal(host, vm))
    assert request.failure.code == "storage_failed"
    assert request.failure.text == (
        f"cannot remove {NAME} on host kvm0.example.jp: volume {NAME}.vda.{vm[:8]}.qcow2 can't be"
        " removed from pool default: storage pool 'default' is not active"
    )
    assert (host.clones(), len(own_volumes(host))) == ([NAME], 2)


def test_a_domain_that_can_t_be_undefined_keeps_all(host: FakeHost, vm: str) -> None:
    host.connection.failures["undefineFlags"] = [libvirtError("no")]
    request = host.next_job(removal(host, vm))
    assert request.failure.text == f"cannot remove {NAME} on host kvm0.example.jp: no"
    assert host.context.journal.intents(request.id) == ()
    assert (host.clones(), len(own_volumes(host))) == ([NAME], 2)


def test_another_vm_that_has_taken_the_place_keeps_all(host: FakeHost, vm: str) -> None:
    """A removal that was killed before it took anything away, and a vm that was renamed since."""
    request = removal(host, vm)
    assert host.dies(request, 5)
    assert host.context.journal.intents(request.id)
    (domain,) = [each for each in host.connection.domains if each.name() == NAME]
    domain._name = "other.example.jp"
    assert host.next_job(request).failure.code == "vm_unknown"
    assert len(own_volumes(host)) == 2
    assert host.context.journal.intents(request.id) == ()


def test_libvirtd_that_is_gone_fails_nothing(host: FakeHost, vm: str) -> None:
    request = removal(host, vm)
    gone = libvirtError("client socket is closed", code=1, domain=VIR_FROM_RPC)
    for call in ("undefineFlags", "delete"):
        host.connection.failures[call] = [gone]
        with pytest.raises(HostDown):
            host.next_job(request)
    assert host.next_job(request).state is State.DONE
    assert_gone(host, request)


def copy_of(host: FakeHost, name: str, uuid: str) -> Domain:
    """Define a copy of the vm's definition under another name, with another UUID."""
    (vm,) = [each for each in host.connection.domains if each.name() == NAME]
    return host.connection.defineXML(
        vm.xml.replace(f"<name>{NAME}", f"<name>{name}").replace(
            f"<uuid>{vm.UUIDString()}", f"<uuid>{uuid}"
        )
    )


def refused(host: FakeHost, uuid: str, text: str) -> None:
    """Nothing of the vm is gone, and the request has ended."""
    before = host.volumes()
    request = host.next_job(removal(host, uuid))
    assert request.failure.code == "not_own"
    assert text in request.failure.text
    assert (NAME in host.clones(), host.volumes()) == (True, before)
    assert host.context.journal.intents(request.id) == ()


def test_a_file_with_a_name_like_a_volume_s_stays(host: FakeHost, vm: str) -> None:
    copy = host.pool / f"vm0-before-upgrade.vda.{vm[:8]}.qcow2"
    copy.write_bytes(b"theirs")
    same_vm = host.pool / f"{NAME}.vdz.{vm[:8]}.qcow2"
    same_vm.write_bytes(b"theirs")
    request = host.next_job(removal(host, vm))
    assert request.state is State.DONE
    assert (copy.read_bytes(), same_vm.read_bytes()) == (b"theirs", b"theirs")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name="{name}"', 'name="theirs.qcow2"'),
        ('path="{path}"', 'path="{pool}/theirs.qcow2"'),
        ('path="{path}" />', 'path="{path}" /><maglica:nvram path="{pool}/theirs.qcow2" />'),
        (
            'name="{name}" path="{path}"',
            'name="theirs.qcow2" path="{pool}/theirs.qcow2"',
        ),
    ],
)
def test_metadata_that_names_a_file_of_others(host: FakeHost, vm: str, old: str, new: str) -> None:
    theirs = host.pool / "theirs.qcow2"
    theirs.write_bytes(b"theirs")
    name = own_volumes(host)[0]
    (domain,) = [each for each in host.connection.domains if each.name() == NAME]
    words = {"name": name, "path": host.pool / name, "pool": host.pool}
    edited = domain.xml.replace(old.format(**words), new.format(**words))
    assert edited != domain.xml
    domain.xml = edited
    refused(host, vm, "named by its metadata")
    assert theirs.exists()


def test_a_vm_below_a_snapshot(host: FakeHost, vm: str) -> None:
    (first, _second) = own_volumes(host)
    overlay = host.pool / "vm0.snap1"
    overlay.write_bytes(header(backing=str(host.pool / first).encode()))
    (domain,) = [each for each in host.connection.domains if each.name() == NAME]
    domain.xml = domain.xml.replace(f'file="{host.pool / first}"', f'file="{overlay}"')
    refused(host, vm, f"{host.pool / first} is in use by the file {overlay}")
    overlay.unlink()
    assert host.next_job(removal(host, vm)).state is State.DONE


def test_a_vm_whose_disk_another_domain_has(host: FakeHost, vm: str) -> None:
    copy = copy_of(host, "copy.example.jp", "11111111-2222-3333-4444-555555555555")
    refused(host, vm, "is in use by the domain copy.example.jp")
    request = host.next_job(removal(host, copy.UUIDString(), "copy.example.jp"))
    assert "Maglica did not make it" in request.failure.text
    host.connection.domains.remove(copy)
    assert host.next_job(removal(host, vm)).state is State.DONE


def test_a_vm_whose_pool_is_elsewhere_now(host: FakeHost, vm: str) -> None:
    (pool,) = host.connection.pools
    moved = host.pool.rename(host.folder / "moved")
    host.pool.mkdir()
    pool.path = moved
    refused(host, vm, f"of pool default is {moved}/{NAME}.vda.")
    pool._name = "other"
    refused(host, vm, "there is no storage pool default any more")


def test_a_lost_journal_does_not_matter(host: FakeHost, vm: str) -> None:
    host.context.journal.close()
    for path in host.state_dir.glob("host_worker.sqlite*"):
        path.unlink()
    host.context = host.new_context()
    request = host.next_job(removal(host, vm))
    assert request.state is State.DONE
    assert_gone(host, request)


def test_a_disk_that_is_gone_already(host: FakeHost, vm: str) -> None:
    (host.pool / own_volumes(host)[0]).unlink()
    request = host.next_job(removal(host, vm))
    assert_gone(host, request)


def test_what_comes_into_use_after_the_domain_has_gone_stays(host: FakeHost, vm: str) -> None:
    first, _second = own_volumes(host)
    request = removal(host, vm)
    assert host.dies(request, 7)
    assert host.clones() == []
    (host.pool / "snap1").write_bytes(header(backing=str(host.pool / first).encode()))
    assert host.next_job(request).state is State.DONE
    assert own_volumes(host) == [first]


@pytest.mark.parametrize("dies", [False, True])
def test_one_that_is_started_as_it_is_undefined_is_ended(
    host: FakeHost, vm: str, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """libvirt says no error, and lets it run without a definition."""
    request = removal(host, vm)

    def undefine(domain: Domain, _flags: int) -> None:
        domain.active, domain.persistent = True, False
        if dies:
            raise Killed

    monkeypatch.setattr(Domain, "undefineFlags", undefine)
    if dies:
        with pytest.raises(Killed):
            host.next_job(request)
    assert host.next_job(request).state is State.DONE
    assert_gone(host, request)


def test_a_definition_that_is_not_undone_keeps_its_disk(host: FakeHost) -> None:
    """Somebody has taken a domain over by removing Maglica's metadata."""
    request = host.request(NAME)
    name = f"{NAME}.vda.{vm_uuid(request.id)[:8]}.qcow2"
    volume = OwnVolume("vda", "default", name, str(host.pool / name))
    (host.pool / name).write_bytes(header())
    host.context.journal.intend(request.id, Effect.VOLUME, asdict(volume))
    host.connection.defineXML(
        f"<domain type='qemu'><name>{NAME}</name><uuid>{vm_uuid(request.id)}</uuid>"
        f"<devices><disk><source file='{host.pool / name}'/></disk></devices></domain>"
    )
    host.context.journal.cancel(request.id)
    assert host.next_job(request).state is State.CANCELLED
    assert (host.clones(), own_volumes(host)) == ([NAME], [name])


def test_uefi_variables(host: FakeHost) -> None:
    folder = host.folder / "nvram"
    folder.mkdir()
    theirs = folder / "image_VARS.fd"
    theirs.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{theirs}</nvram>")
    (made,) = host.run(host.request(NAME))
    (own,) = [path for path in folder.iterdir() if path != theirs]
    other = folder / "other_VARS.fd"
    other.write_bytes(b"theirs")
    (domain,) = [each for each in host.connection.domains if each.name() == NAME]
    domain.xml = domain.xml.replace(f"<nvram>{own}", f"<nvram>{other}")
    request = host.next_job(removal(host, vm_uuid(made.id)))
    assert request.state is State.DONE
    assert sorted(folder.iterdir()) == [theirs, other]
    assert domain.undefined_with & fake_libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM


def test_old_versions_of_images_that_it_needed_may_go(
    host: FakeHost, vm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied: list[object] = []
    monkeypatch.setattr(remove.made_images, "tidy", tidied.append)
    host.next_job(removal(host, vm))
    assert tidied == [host.context]
