# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and faults: one clear error that names the thing and the host, and nothing is left."""

from __future__ import annotations

import pytest
from support.cloud import IMAGE, Cloud

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image": "nosuch.original"}, ["nosuch.original", "no host"]),
        ({"image": IMAGE, "host": "kvm9.example.jp"}, ["kvm9.example.jp"]),
        ({"image": IMAGE, "memory": 8_000_000}, [IMAGE, "kvm0.example.jp", "kvm1.example.jp"]),
        ({"image": IMAGE, "pool": "nosuch"}, ["nosuch", "kvm0.example.jp"]),
        ({"image": IMAGE, "interfaces": [{"network": "nosuch"}]}, ["nosuch", "kvm0.example.jp"]),
    ],
)
def test_what_no_host_can_do(cloud: Cloud, arguments: dict, words: list[str]) -> None:
    result = cloud.vm("bad0.example.jp", **arguments)
    assert result.status.startswith("FAILED"), result.output
    assert all(word in result["msg"] for word in words), result["msg"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../etc/passwd", "not a valid name for a vm"),
        ("<name/>", "not a valid name for a vm"),
        ("x" * 65, "hostname: needed"),
    ],
)
def test_a_name_that_no_vm_can_have(cloud: Cloud, name: str, words: str) -> None:
    result = cloud.vm(name, image=IMAGE)
    assert result.status.startswith("FAILED"), result.output
    assert words in result["msg"], result["msg"]


def test_the_name_of_an_image(cloud: Cloud) -> None:
    result = cloud.vm(IMAGE, image=IMAGE)
    assert result.status.startswith("FAILED"), result.output
    assert IMAGE in result["msg"] and "image" in result["msg"]


def test_the_name_of_a_vm_of_others(cloud: Cloud) -> None:
    host = cloud.hosts[1]
    xml = "<domain type='qemu'><name>taken0.example.jp</name><memory>65536</memory>\
           <os><type arch='x86_64'>hvm</type></os></domain>"
    domain = cloud.libvirt(host).createXML(xml)
    try:
        result = cloud.vm("taken0.example.jp", image=IMAGE)
        assert result.status.startswith("FAILED"), result.output
        assert "taken0.example.jp" in result["msg"] and host in result["msg"]
    finally:
        domain.destroy()


def _image(cloud: Cloud, host: str, name: str, make_disk: str) -> None:
    """Define an original image whose disk the shell commands ``make_disk`` make as $DISK."""
    disk = f"/var/lib/libvirt/images/{name}.raw"
    cloud.ssh(host, f"set -e; DISK={disk}; {make_disk}")
    cloud.libvirt(host).defineXML(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64'>hvm</type></os><devices><disk type='file'>"
        f"<driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda'/></disk>"
        "<interface type='network'><source network='default'/></interface></devices></domain>"
    )


@pytest.mark.parametrize(
    ("name", "make_disk", "words"),
    [
        ("empty.original", "truncate -s 8M $DISK", ["operating system"]),
        (
            "odd.original",
            "R=$(mktemp -d); mkdir -p $R/etc $R/bin $R/var/lib/dpkg; "
            "cp -L /etc/os-release /etc/debian_version $R/etc/; cp -L /bin/ls $R/bin/; "
            "echo odd > $R/etc/hostname; touch $R/etc/fstab $R/var/lib/dpkg/status; "
            "mke2fs -q -t ext4 -d $R $DISK 32M; rm -r $R",
            ["network", "ifupdown"],
        ),
    ],
)
def test_a_guest_that_cannot_be_customized(
    cloud: Cloud, name: str, make_disk: str, words: list[str]
) -> None:
    host = cloud.hosts[0]
    _image(cloud, host, name, make_disk)
    try:
        before = cloud.volumes(host)
        result = cloud.vm("bad1.example.jp", image=name)
        assert result.status.startswith("FAILED"), result.output
        assert all(word in result["msg"] for word in [name, host, *words]), result["msg"]
        assert cloud.volumes(host) == before
        assert "bad1.example.jp" not in cloud.domains(host)
    finally:
        cloud.libvirt(host).lookupByName(name).undefine()
        cloud.ssh(host, f"rm /var/lib/libvirt/images/{name}.raw")


def test_a_host_that_is_down(cloud: Cloud) -> None:
    host = cloud.hosts[1]
    cloud.ssh(host, "systemctl stop maglica-host-worker")
    try:
        cloud.wait_alive(host, alive=False)
        result = cloud.vm("bad2.example.jp", image=IMAGE, host=host)
        assert result.status.startswith("FAILED"), result.output
        assert host in result["msg"] and "does not answer" in result["msg"], result["msg"]
    finally:
        cloud.ssh(host, "systemctl start maglica-host-worker")
        cloud.wait_alive(host, alive=True)
