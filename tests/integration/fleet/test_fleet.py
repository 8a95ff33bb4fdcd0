# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of hosts that answer: real libvirtd, real remote protocol, the test driver."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from maglica.config.config import HostEntry
from maglica.domain.metadata import IMAGE_NAMESPACE
from maglica.fleet import by_libvirt
from maglica.fleet.snapshot import Found
from maglica.libvirtd.hosts import Gather
from maglica.model.errors import ConfigInvalid
from maglica.model.image import image_uuid
from maglica.model.reported import AddressSource
from maglica.model.vm import vm_uuid
from support import made_image, testdriver
from support.latency import proxied
from support.ports import free_port
from support.reading import snapshot
from support.testdriver import Libvirtd

REQUEST = "2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e"
MADE = (
    "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='debian12.original'"
    f" request='{REQUEST}' created='1795500000' who='alice' clone_mode='linked'>"
    "<maglica:address mac='52:54:00:00:00:01' address='192.0.2.7/24'/></maglica:vm>"
)


def test_vms_and_images_of_two_hosts(libvirtd: Libvirtd, node: Path) -> None:
    hosts = [HostEntry(name, libvirtd.uri(node)) for name in ("kvm1", "kvm0")]
    seen = snapshot(hosts)
    assert seen.unreachable == seen.problems == ()
    assert [host.name for host in seen.hosts] == ["kvm0", "kvm1"]
    assert [(image.name, image.host, image.state) for image in seen.images] == [
        ("debian12.original", "kvm0", "stopped"),
        ("debian12.original", "kvm1", "stopped"),
        ("rocky9.original", "kvm0", "stopped"),
        ("rocky9.original", "kvm1", "stopped"),
    ]
    assert len(seen.vms) == 20
    vm = seen.vms[0]
    assert (vm.name, vm.host, vm.state, vm.active) == ("vm0", "kvm0", "running", True)
    assert (vm.vcpus, vm.memory_mib, vm.made, vm.xml) == (2, 512, False, None)
    (nic,) = vm.interfaces
    assert (nic.mac, nic.network) == ("52:54:00:00:00:00", "default")
    assert vm.address in nic.addresses
    (disk,) = vm.disks
    assert (disk.target, disk.format) == ("vda", "qcow2")
    assert disk.source == "/var/lib/libvirt/images/vm0.qcow2"


def test_minimal_takes_six_calls_and_one_for_each_that_is_off(
    libvirtd: Libvirtd, node: Path
) -> None:
    with proxied(libvirtd.port) as proxy:
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{node}")
        seen = snapshot([host], gather=Gather.MINIMAL)
        assert (len(seen.vms), len(seen.images)) == (10, 2)
        # One that is off is an image, unless its definition says that it was adopted.
        assert proxy.calls.total() <= 6 + 2, proxy.named()
        assert seen.vms[0].interfaces == ()


def test_full_takes_one_call_more_for_each_domain(libvirtd: Libvirtd, node: Path) -> None:
    with proxied(libvirtd.port) as proxy:
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{node}")
        snapshot([host], sources=())
        assert proxy.named()["domain_xml"] == 12
        # And one that lists those which start by themselves.
        assert proxy.calls.total() <= 6 + 12 + 1, proxy.named()


def test_the_definition_tells_what_maglica_made(libvirtd: Libvirtd, folder: Path) -> None:
    own = vm_uuid(REQUEST)
    foreign = vm_uuid("00000000-0000-0000-0000-000000000000")
    path = testdriver.node(
        folder / "made.xml",
        [
            testdriver.domain("vm0.example.jp", 1, identity=own, metadata=MADE, state=5),
            # Somebody copied the vm with its metadata, or just likes UUIDs of version 5.
            testdriver.domain("copy", 2, metadata=MADE, state=5),
            testdriver.domain("image5", 3, identity=foreign, state=5),
        ],
    )
    for gather in Gather:
        seen = snapshot([HostEntry("kvm0", libvirtd.uri(path))], gather=gather)
        assert [domain.name for domain in seen.images] == ["copy", "image5"]
        (vm,) = seen.vms
        assert (vm.name, vm.made, vm.image, vm.request) == (
            "vm0.example.jp",
            True,
            "debian12.original",
            REQUEST,
        )
        assert (vm.created, vm.who, vm.clone_mode) == (1795500000, "alice", "linked")


def test_what_was_adopted_is_no_image(libvirtd: Libvirtd, folder: Path) -> None:
    own = "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11"
    said = f"<m:vm xmlns:m='https://maglica.cloud/xmlns/vm/1.0' adopted='{own}'/>"
    domains = [
        testdriver.domain("old", 1, identity=own, metadata=said, state=5),
        # As virt-clone makes one.
        testdriver.domain("copy", 2, metadata=said, state=5),
    ]
    host = HostEntry("kvm0", libvirtd.uri(testdriver.node(folder / "adopted.xml", domains)))
    for gather in Gather:
        seen = snapshot([host], gather=gather)
        assert [image.name for image in seen.images] == ["copy"]
        (vm,) = seen.vms
        assert (vm.name, vm.adopted, vm.made) == ("old", True, False)


def test_the_checksum_that_is_recorded_with_an_image(libvirtd: Libvirtd, folder: Path) -> None:
    checksum = f"sha256:{'9d' * 32}"
    recorded = f"<m:image xmlns:m='{IMAGE_NAMESPACE}' checksum='{checksum}'/>"
    path = testdriver.node(
        folder / "image.xml", [testdriver.domain("debian", 1, state=5, metadata=recorded)]
    )
    (image,) = snapshot([HostEntry("kvm0", libvirtd.uri(path))]).images
    assert image.checksum == checksum


def test_an_image_that_maglica_made(libvirtd: Libvirtd, folder: Path) -> None:
    """It is one whatever its name is, also while it runs; a copy of its definition is not."""
    said = made_image.metadata()
    for state in (1, 5):
        domains = [
            testdriver.domain("made", 1, identity=made_image.UUID, metadata=said, state=state),
            testdriver.domain("copy", 2, metadata=said, state=state),
            testdriver.domain("other", 3, identity=image_uuid("other"), state=state),
        ]
        path = testdriver.node(folder / f"{state}.xml", domains)
        for gather in (Gather.MINIMAL, Gather.FULL):
            host = HostEntry("kvm0", libvirtd.uri(path))
            seen = snapshot([host], image_pattern="golden.*", gather=gather)
            (image,) = seen.images
            assert (image.name, image.made, image.active) == ("made", True, state == 1)
            assert image.versions == (made_image.VERSION,)
            assert image.checksum == made_image.VERSION.checksum
            assert image.request == made_image.REQUEST
            assert [vm.name for vm in seen.vms] == ["copy", "other"]
            assert not any(vm.made for vm in seen.vms)


def test_a_recorded_address_counts_where_nothing_else_is_known(
    libvirtd: Libvirtd, folder: Path
) -> None:
    own = vm_uuid(REQUEST)
    path = testdriver.node(
        folder / "made.xml", [testdriver.domain("vm0", 1, identity=own, metadata=MADE)]
    )
    host = HostEntry("kvm0", libvirtd.uri(path))
    (vm,) = snapshot([host], sources=[AddressSource.RECORDED]).vms
    assert vm.address == "192.0.2.7"
    (vm,) = snapshot([host], sources=[AddressSource.ARP, AddressSource.RECORDED]).vms
    assert vm.address not in (None, "192.0.2.7")


def test_only_what_is_wanted_is_read(libvirtd: Libvirtd, node: Path) -> None:
    with proxied(libvirtd.port) as proxy:
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{node}")
        seen = snapshot([host], wanted=lambda domain, _known: domain.name == "vm3", xml=True)
        assert [vm.name for vm in seen.vms] == ["vm3"]
        assert "<name>vm3</name>" in (seen.vms[0].xml or "")
        assert proxy.named()["domain_xml"] == 1


def test_a_definition_that_is_no_use_spoils_nothing_else(libvirtd: Libvirtd, folder: Path) -> None:
    huge = f"<x:note xmlns:x='urn:x'>{'y' * (1 << 20)}</x:note>"
    path = testdriver.node(
        folder / "huge.xml",
        [testdriver.domain("huge", 1, metadata=huge), testdriver.domain("vm0", 2)],
    )
    seen = snapshot([HostEntry("kvm0", libvirtd.uri(path))])
    assert [(vm.name, vm.vcpus) for vm in seen.vms] == [("huge", None), ("vm0", 2)]
    (problem,) = seen.problems
    assert problem.startswith("huge on host kvm0: the definition is longer than")


def test_find_vms(libvirtd: Libvirtd, node: Path) -> None:
    dead = HostEntry("kvm9", f"test+tcp://127.0.0.1:{free_port()}/default")
    hosts = [HostEntry("kvm0", libvirtd.uri(node)), HostEntry("kvm1", libvirtd.uri()), dead]
    # One name is looked up, several are looked for among all.
    for names in ({"vm3"}, {"vm3", "nobody"}):
        found = by_libvirt.find_vms(hosts, names, 30)
        assert [(vm.name, vm.host) for vm in found.domains] == [("vm3", "kvm0")]
        assert found.domains[0].address
        assert [missing.host for missing in found.unreachable] == ["kvm9"]
        one = by_libvirt.find_vms(hosts[:1], {"vm3"}, 30).domains
        assert found.domains == one
    found = by_libvirt.find_vms(hosts[:2], {"vm3", "test"}, 30)
    assert [(vm.name, vm.host) for vm in found.domains] == [("vm3", "kvm0"), ("test", "kvm1")]
    assert by_libvirt.find_vms(hosts[:2], {"nobody"}, 30) == Found()


@pytest.mark.alone
def test_wait_addresses(libvirtd: Libvirtd, node: Path) -> None:
    hosts = [HostEntry("kvm0", libvirtd.uri(node))]
    (vm,) = by_libvirt.find_vms(hosts, {"vm3"}, 30).domains
    (image,) = by_libvirt.find_vms(hosts, {"rocky9.original"}, 30).domains
    assert by_libvirt.wait_addresses(hosts, {(vm.uuid, "kvm0")}, 30).domains[0].address
    started = time.monotonic()
    found = by_libvirt.wait_addresses(
        hosts, {(each.uuid, "kvm0") for each in (image, vm)}, 2
    ).domains
    assert time.monotonic() - started < 17
    assert {domain.name: domain.address is None for domain in found} == {
        "rocky9.original": True,
        "vm3": False,
    }
    nobody = {("00000000-0000-4000-8000-000000000000", "kvm0"), (vm.uuid, "kvm1")}
    assert by_libvirt.wait_addresses(hosts, nobody, 1) == Found()


def test_what_a_host_says_of_itself(libvirtd: Libvirtd, node: Path) -> None:
    entries = [HostEntry("kvm0", libvirtd.uri(node))]
    seen = snapshot(entries, gather=Gather.MINIMAL, details=True)
    assert seen.unreachable == ()
    (host,) = seen.hosts
    assert (host.cpus, host.memory_total_mib, host.networks) == (16, 3072, ("default",))
    assert host.libvirt_version and host.libvirt_version.count(".") == 2


def test_a_unix_socket(libvirtd: Libvirtd) -> None:
    seen = snapshot([HostEntry("kvm0", libvirtd.unix_uri)])
    assert [vm.name for vm in seen.vms] == ["test"]


def test_a_uri_that_is_none(libvirtd: Libvirtd) -> None:
    hosts = [HostEntry("kvm0", libvirtd.uri()), HostEntry("kvm1", "qemu+pigeon://kvm1/system")]
    with pytest.raises(ConfigInvalid, match="unknown transport 'pigeon'"):
        snapshot(hosts)


def test_wait_addresses_of_a_host_that_is_down() -> None:
    host = HostEntry("kvm9", f"test+tcp://127.0.0.1:{free_port()}/default")
    found = by_libvirt.wait_addresses([host], {("00000000-0000-4000-8000-000000000000", "kvm9")}, 1)
    assert [missing.host for missing in found.unreachable] == ["kvm9"]
    assert "Connection refused" in found.unreachable[0].text
