# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a base whose clones cloud-init makes guests of their own."""

from __future__ import annotations

import pytest
from maglica.guest.cloud_init.base import examine
from maglica.guest.edits import Remove, Write, apply
from maglica.guest.filesystem import Kind
from maglica.model.errors import GuestUnsupported
from support.fake_filesystem import FakeFilesystem

INTERFACES = "etc/network/interfaces"
CLEAN = {
    "etc/machine-id": "",
    "etc/ssh/sshd_config": "UsePAM yes\n",
    "usr/sbin/sshd": "",
    "usr/sbin/netplan": "",
    "etc/netplan/90-default.yaml": "network: {version: 2}\n",
    "etc/dhcp/dhclient.conf": "option x code 1;\nsend host-name = gethostname();\nrequest y;\n",
    "var/lib/cloud/scripts/per-boot/mine.sh": "#!/bin/sh\n",
}
# What a boot leaves behind.
LEFT = {
    "var/lib/cloud/instances/i-1/user-data.txt": "secret",
    "var/lib/cloud/instances/i-1/sem/config_ssh": "",
    "var/lib/cloud/instances/i-1/scripts/a/b": "",
    "var/lib/cloud/data/instance-id": "i-1\n",
    "var/lib/cloud/sem/once": "",
    "var/lib/cloud/seed/nocloud/meta-data": "instance-id: i-1\n",
    "etc/netplan/50-cloud-init.yaml": "network: {ethernets: {a: {addresses: [192.0.2.1/24]}}}\n",
    "etc/network/interfaces.d/50-cloud-init": "iface eth0 inet dhcp\n",
    "etc/systemd/network/10-cloud-init-eth0.network": "[Network]\nAddress=192.0.2.1/24\n",
    "etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection": "method=manual\n",
    "etc/ssh/ssh_host_rsa_key": "key",
    "etc/ssh/ssh_host_ed25519_key": "key",
    "etc/ssh/ssh_host_ed25519_key.pub": "key",
    "var/lib/systemd/random-seed": "seed",
    "var/lib/dhcp/dhclient.eth0.leases": "lease",
    "var/lib/dbus/machine-id": "0123\n",
    "etc/krb5.keytab": "key",
    "etc/pki/consumer/key.pem": "key",
}


def test_an_image_for_clouds_stays_as_it_is() -> None:
    found = examine(FakeFilesystem(CLEAN))
    assert found.edits == ()
    assert found.ssh_host_keys == ("ecdsa", "ed25519")


@pytest.mark.parametrize("content", ["", "\n", "uninitialized\n"])
def test_no_machine_id_stays(content: str) -> None:
    assert examine(FakeFilesystem({**CLEAN, "etc/machine-id": content})).edits == ()


def test_what_a_boot_left_behind_goes() -> None:
    guest = FakeFilesystem({**CLEAN, **LEFT, "etc/machine-id": "0123\n"})
    guest.add_link("/var/lib/cloud/instance", "/var/lib/cloud/instances/i-1")
    found = examine(guest)
    apply(found.edits, guest, found.filled)
    assert [path for path in LEFT if guest.kind(f"/{path}") is not Kind.ABSENT] == []
    assert guest.kind("/var/lib/cloud/instance") is Kind.ABSENT
    assert guest.text("/etc/machine-id") == ""
    assert found.filled == ("/etc/machine-id",)
    assert guest.kind("/var/lib/cloud/scripts/per-boot/mine.sh") is Kind.FILE
    assert guest.kind("/etc/netplan/90-default.yaml") is Kind.FILE
    assert examine(guest).edits == ()


def test_a_name_that_dhclient_would_tell_for_each_clone() -> None:
    text = "send host-name = gethostname();\nsend dhcp-client-identifier 01:02;\n"
    guest = FakeFilesystem({**CLEAN, "etc/dhcp/dhclient.conf": text})
    (edit,) = examine(guest).edits
    assert isinstance(edit, Write)
    assert edit.content == b"send host-name = gethostname();\n"


def test_a_certificate_with_a_pattern_in_its_name() -> None:
    config = "HostCertificate /etc/ssh/[a]*-cert.pub\n"
    guest = FakeFilesystem({**CLEAN, "etc/ssh/sshd_config": config, "etc/ssh/[a]*-cert.pub": "x"})
    assert examine(guest).edits == (Remove("/etc/ssh/\\[a]\\*-cert.pub"),)


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("etc/netplan/01.yaml", "addresses: [192.0.2.9/24]\n", r"etc/netplan/01.yaml .* \(netplan"),
        ("etc/rc.local", "ip addr add 192.0.2.9/24 dev eth0\n", "/etc/rc.local"),
        (INTERFACES, "iface eth0 inet static\n  address 192.0.2.9/24\n", "'address 192.0.2.9/24'"),
        (INTERFACES, "iface eth0 inet6 static\n\taddress 2001:db8::9\n", "'address 2001:db8::9'"),
        (f"{INTERFACES}.d/lan", "iface eth1 inet static\naddress 192.0.2.9\n", "interfaces.d/lan"),
        (INTERFACES, "iface eth0 inet dhcp\n  hwaddress ether 52:54:00:00:00:09\n", "hwaddress"),
        (INTERFACES, "iface eth0 inet dhcp\n  client 01:02\n", "'client 01:02'"),
        (INTERFACES, "iface lo inet loopback\n  up ip a add 192.0.2.9/32 dev lo\n", "up ip a"),
        (INTERFACES, "iface lo inet loopback\n add\\\nress 192.0.2.9\n", "'address 192.0.2.9'"),
        (INTERFACES, "source /etc/network/site/*\n", "'source /etc/network/site/"),
        (f"{INTERFACES}.d/lan", "source-directory /etc/network/Interfaces.d\n", "d/lan .*'source-"),
        ("boot/grub/grub.cfg", "linux /vmlinuz systemd.machine_id=01\n", "systemd.machine_id"),
        ("etc/ssh/sshd_config", "HostKey /etc/ssh/keys/a\n", "HostKey|host key"),
    ],
)
def test_what_clones_would_share(path: str, content: str, problem: str) -> None:
    guest = FakeFilesystem({**CLEAN, path: content, "etc/ssh/keys/a": "key", "usr/sbin/ifup": ""})
    with pytest.raises(GuestUnsupported, match=problem):
        examine(guest)


def test_interfaces_that_only_ask_for_an_address_stay() -> None:
    text = (
        "# address 192.0.2.9\nauto lo\niface lo inet loopback\n  address 127.0.0.1\n"
        "allow-hotplug ens3\niface ens3 inet dhcp\n  hwaddress random\nsource interfaces.d/*\n"
        "source /etc/network/interfaces.d/*.cfg\nsource-directory /run/network/interfaces.d\n"
    )
    guest = FakeFilesystem({**CLEAN, INTERFACES: text, "usr/sbin/ifup": ""})
    assert examine(guest).edits == ()


def test_interfaces_that_cloud_init_makes_anew_as_a_whole() -> None:
    text = "auto eth0\niface eth0 inet static\n  address 192.0.2.9/24\n  hostname alpine\n"
    guest = FakeFilesystem({**CLEAN, INTERFACES: text, "sbin/ifup": ""})
    with pytest.raises(GuestUnsupported, match=r"address 192\.0\.2\.9"):
        examine(guest)
    guest.add_file("/etc/alpine-release", "3.24.1\n")
    assert examine(guest).edits == ()
