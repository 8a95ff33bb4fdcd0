# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second image, whose network systemd-networkd configures, is cloned and boots."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cloud import IMAGE, STATE, Cloud, Result

# To make its base and to boot takes about a minute without KVM.
pytestmark = pytest.mark.longer

NETWORKD = "networkd.original"
NAME = "net0.example.jp"
FILE = "[Match]\nName=eth* en*\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nHostname=debian12\n"


@pytest.fixture(scope="module")
def image(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The original image again, but with networkd in the place of ifupdown; for one host."""
    host = cloud.hosts[0]
    # The host's own folder on this machine.
    images = STATE / "hosts" / host / "images"
    disk = images / f"{NETWORKD}.raw"
    command = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(images / f"{IMAGE}.qcow2")]
    subprocess.run([*command, str(disk)], check=True)
    _replace_ifupdown(disk, tmp_path_factory.mktemp("mnt"))
    definition = ET.fromstring(cloud.libvirt(host).lookupByName(IMAGE).XMLDesc())
    definition.remove(definition.find("uuid"))
    definition.find("name").text = NETWORKD
    for interface in definition.iter("interface"):
        interface.remove(interface.find("mac"))
    definition.find("devices/disk/driver").set("type", "raw")
    source = definition.find("devices/disk/source")
    source.set("file", source.get("file").replace(f"{IMAGE}.qcow2", disk.name))
    domain = cloud.libvirt(host).defineXML(ET.tostring(definition, encoding="unicode"))
    yield NETWORKD
    domain.undefine()
    disk.unlink()


def _replace_ifupdown(disk: Path, root: Path) -> None:
    def inside(*command: str) -> None:
        subprocess.run(["chroot", str(root), *command], check=True, capture_output=True)

    subprocess.run(["mount", "-o", "loop", str(disk), str(root)], check=True)
    try:
        inside("dpkg", "--purge", "ifupdown", "isc-dhcp-client")
        inside("systemctl", "enable", "systemd-networkd")
        (root / "etc/systemd/network/20-wired.network").write_text(FILE)
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.fixture(scope="module")
def made(cloud: Cloud, image: str) -> Iterator[Result]:
    result = cloud.vm(NAME, image=image, host=cloud.hosts[0], wait_for="address")
    assert result.status == "CHANGED", result.output
    yield result
    removed = cloud.vm(NAME, state="absent")
    assert removed.status == "CHANGED", removed.output
    released = cloud.module("maglica_image", name=image, state="released")
    assert released.status == "CHANGED", released.output


def test_the_lease_bears_the_new_name(cloud: Cloud, made: Result) -> None:
    lease = cloud.lease(cloud.hosts[0], NAME)
    assert lease is not None
    assert [lease["ipaddr"]] == made["vm"]["interfaces"][0]["addresses"]
    # RFC 4361: the DUID has systemd's number, so that it derives from the machine id.
    assert lease["clientid"][15:32] == "00:02:00:00:ab:11"


def test_the_guest_is_as_asked_for(cloud: Cloud, made: Result) -> None:
    (address,) = made["vm"]["interfaces"][0]["addresses"]
    assert cloud.in_guest(address, "hostname -f") == NAME
    assert cloud.in_guest(address, "systemctl is-system-running --wait") == "running"
    status = cloud.in_guest(address, "networkctl status eth0")
    assert "Network File: /etc/systemd/network/00-maglica-0.network" in status
    log = cloud.ssh(cloud.hosts[0], "journalctl -q -o cat -u maglica-host-worker")
    assert f"guest customized by areas: key={made['request']['id']}" in log
