# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make the hosts and tell their users about them."""

from __future__ import annotations

import configparser
import json
from ipaddress import ip_address, ip_interface
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from testbed import texts
from testbed.layout import layout

CLOUD = layout(Path("/srv/checkout"), 3)


def _parse(text: str) -> ET.Element:
    return ET.fromstring(text)


def test_guests_of_a_host_get_addresses_of_its_subnet_only() -> None:
    host = CLOUD.kvm[1]
    network = texts.guest_network(host)
    assert ip_interface(network["address"]).ip == host.gateway
    assert ip_interface(network["address"]).network == host.guests
    assert host.guests is not None
    for end in network["dhcp"].values():
        assert ip_address(end) in host.guests
        assert ip_address(end) != host.gateway


def test_client_has_no_guest_network() -> None:
    with pytest.raises(ValueError, match=r"client\.example\.jp"):
        texts.guest_network(CLOUD.client)


@pytest.mark.parametrize("virt_type", ["kvm", "qemu"])
def test_template_has_disk_network_console_and_agent(virt_type: str) -> None:
    domain = _parse(texts.template_domain(virt_type))
    assert domain.attrib["type"] == virt_type
    assert domain.findtext("name") == "debian12.original"
    assert [e.attrib["file"] for e in domain.iterfind("devices/disk/source")] == [
        "/var/lib/libvirt/images/debian12.original.qcow2"
    ]
    assert domain.find("devices/interface/source[@network='default']") is not None
    assert domain.find("devices/serial[@type='pty']") is not None
    assert domain.find("devices/channel/target[@name='org.qemu.guest_agent.0']") is not None


def test_host_reaches_the_guests_of_all_others_by_them() -> None:
    text = texts.host_network(CLOUD, CLOUD.kvm[0])
    assert f"Address={CLOUD.kvm[0].address}/24" in text
    for other in CLOUD.kvm[1:]:
        assert f"[Route]\nDestination={other.guests}\nGateway={other.address}\n" in text
    assert f"Destination={CLOUD.kvm[0].guests}" not in text


def test_all_hosts_are_in_the_hosts_file() -> None:
    lines = texts.hosts_file(CLOUD).splitlines()
    for host in CLOUD.hosts:
        assert f"{host.address} {host.name} {host.name.split('.')[0]}" in lines


def test_host_keys_are_pinned_and_guests_keys_are_not() -> None:
    sections = texts.ssh_config(CLOUD).split("Host ")[1:]
    for host, section in zip(CLOUD.hosts, sections):
        assert section.startswith(f"{host.name} {host.address}\n")
        assert "StrictHostKeyChecking yes" in section
        assert f"HostKeyAlias {host.name}" in section
    assert len(sections) == len(CLOUD.hosts) + 1
    assert sections[-1].splitlines()[0].split() == [
        str(host.guests).replace("0/24", "*") for host in CLOUD.kvm
    ]


def test_known_hosts_has_names_and_keys_without_comments() -> None:
    assert texts.known_hosts({"a.example.jp": "ssh-ed25519 AAAA x@y\n"}) == (
        "a.example.jp ssh-ed25519 AAAA\n"
    )


def test_inventory_has_the_groups_of_the_playbook() -> None:
    groups = json.loads(texts.deploying_inventory(CLOUD))["all"]["children"]
    assert list(groups["maglica_client_worker"]["hosts"]) == ["client.example.jp"]
    assert list(groups["maglica_hosts"]["hosts"]) == [host.name for host in CLOUD.kvm]
    assert groups["maglica_hosts"]["hosts"]["kvm0.example.jp"] == {
        "ansible_host": str(CLOUD.kvm[0].address),
        "libvirtd_networks": [texts.guest_network(CLOUD.kvm[0])],
    }


def test_description_names_where_libvirt_answers() -> None:
    known = json.loads(texts.description(CLOUD, "qemu", Path("/r")))
    assert [host["uri"] for host in known["hosts"]] == [
        f"qemu+tls://{host.address}/system?pkipath=/srv/checkout/build/cloud/pki"
        for host in CLOUD.kvm
    ]
    assert known["client"]["uri"] is None


def test_network_file_is_well_formed() -> None:
    parser = configparser.ConfigParser(strict=False)
    parser.read_string(texts.host_network(CLOUD, CLOUD.client))
    assert {"Match", "Network", "Route"} <= set(parser.sections())
