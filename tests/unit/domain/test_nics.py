# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain import definition as domain_xml
from maglica.domain import nics as domain_nics
from maglica.domain.nics import mac_address, rewrite
from maglica.model import names
from maglica.model.errors import ImageUnsupported
from maglica.model.request import Nic
from support.domains import definition, domain


def _rewritten(image: str, nics: tuple[Nic, ...] | None) -> list[dict[str, object]]:
    root = domain_xml.parse(definition(image))
    rewrite(root, nics, "request")
    return [
        {
            "type": element.get("type"),
            "mac": element.find("mac").get("address"),
            "children": [child.tag for child in element],
        }
        for element in root.iterfind("devices/interface")
    ]


def test_macs_are_of_the_request_and_the_place() -> None:
    macs = [mac_address("request", index) for index in range(100)]
    assert macs == [mac_address("request", index) for index in range(100)]
    assert len(set(macs)) == 100
    assert mac_address("other", 0) not in macs
    for mac in macs:
        assert names.mac(mac).startswith("52:54:00:")


def test_a_mac_that_is_taken_is_not_used_again() -> None:
    first = mac_address("request", 0)
    assert mac_address("request", 0, [first]) != first


def test_the_image_s_own_interfaces_get_new_macs() -> None:
    found = _rewritten("nics", None)
    assert [nic["type"] for nic in found] == ["network", "bridge", "direct", "user"]
    assert [nic["mac"] for nic in found] == [mac_address("request", index) for index in range(4)]
    assert all("target" not in nic["children"] for nic in found)
    assert all(nic["children"].count("mac") == 1 for nic in found)


def test_fewer_and_more_interfaces_than_the_image() -> None:
    assert _rewritten("nics", ()) == []
    found = _rewritten("plain", tuple(Nic(network=f"net{index}") for index in range(3)))
    assert [nic["type"] for nic in found] == ["network"] * 3
    assert len({nic["mac"] for nic in found}) == 3
    assert all("model" in nic["children"] for nic in found)


def test_the_device_stays_and_its_old_connection_goes() -> None:
    (found,) = _rewritten("nics", (Nic(bridge="br0"),))
    assert found["type"] == "bridge"
    kept = ["model", "driver", "filterref", "port", "boot", "address"]
    assert found["children"] == ["mac", "source", *kept]


def test_a_vlan_and_a_port_of_another_switch_are_not_taken_along() -> None:
    found = _rewritten("nics", (Nic(), Nic(bridge="br0")))
    assert found[1]["children"] == ["mac", "source", "model"]


@pytest.mark.parametrize("nic", [Nic(bridge="ovsbr0"), Nic(addresses=("192.0.2.7/24",))])
def test_who_names_the_image_s_own_connection_gets_all_of_it(nic: Nic) -> None:
    found = _rewritten("nics", (Nic(), nic))
    assert found[1]["children"] == ["mac", "source", "vlan", "virtualport", "model"]


def test_a_network_called_like_the_image_s_bridge_is_another_connection() -> None:
    found = _rewritten("nics", (Nic(), Nic(network="ovsbr0")))
    assert (found[1]["type"], found[1]["children"]) == ("network", ["mac", "source", "model"])


OWN = ("192.0.2.7/24", "2001:db8::7/64")


@pytest.mark.parametrize("connection", [{}, {"network": "default"}, {"bridge": "br0"}])
@pytest.mark.parametrize(
    ("stated", "addresses", "expected"),
    [
        (("IP", "MAC", "DHCPSERVER"), (), ["DHCPSERVER=image"]),
        (("IP", "DHCPSERVER"), OWN[:1], ["DHCPSERVER=image", "IP=192.0.2.7"]),
        (("IPV6",), OWN, ["IP=192.0.2.7", "IPV6=2001:db8::7"]),
        ((), OWN[:1], ["IP=192.0.2.7"]),
        ((), (), []),
    ],
)
def test_a_filter_stays_and_has_the_clone_s_addresses(
    connection: dict[str, str],
    stated: tuple[str, ...],
    addresses: tuple[str, ...],
    expected: list[str],
) -> None:
    filterref = _filtered(dict.fromkeys(stated, "image"), Nic(addresses=addresses, **connection))
    assert filterref.get("filter") == "clean-traffic"
    found = [f"{parameter.get('name')}={parameter.get('value')}" for parameter in filterref]
    assert found == expected


def test_a_filter_that_cannot_learn_the_address_needs_one() -> None:
    with pytest.raises(
        ImageUnsupported, match=r"interface 0 .* clean-traffic for one IPv6 address"
    ):
        _filtered({"IPV6": "2001:db8::1"}, Nic(addresses=OWN[:1]))
    with pytest.raises(ImageUnsupported, match=r"one IPv4 address, .*: name one in interfaces"):
        _filtered({"IP": "192.0.2.1", "CTRL_IP_LEARNING": "none"}, Nic(bridge="br0"))
    assert _filtered({"IP": "192.0.2.1", "CTRL_IP_LEARNING": "dhcp"}, Nic()) is not None


def _filtered(parameters: dict[str, str], nic: Nic) -> ET.Element:
    stated = "".join(f"<parameter name='{k}' value='{v}'/>" for k, v in parameters.items())
    filterref = f"<filterref filter='clean-traffic'>{stated}</filterref>"
    source = "<source network='default'/>"
    root = domain_xml.parse(domain(f"<interface type='network'>{source}{filterref}</interface>"))
    rewrite(root, (nic,), "request")
    return root.find("devices/interface/filterref")


def test_interfaces_stay_in_their_place() -> None:
    root = domain_xml.parse(definition("nics"))
    rewrite(root, (Nic(network="a"), Nic(network="b")), "request")
    tags = [element.tag for element in root.find("devices")]
    assert tags == ["emulator", "disk", "interface", "interface", "input"]


def test_an_image_without_interfaces_gets_some() -> None:
    root = domain_xml.parse(domain())
    rewrite(root, (Nic(network="default"),), "request")
    assert root.find("devices/interface/model").get("type") == "virtio"


def test_a_mac_that_is_asked_for() -> None:
    found = _rewritten("plain", (Nic(mac="52:54:00:00:00:01"),))
    assert found[0]["mac"] == "52:54:00:00:00:01"
    assert found[0]["type"] == "network"


def test_a_generated_mac_is_none_of_those_asked_for() -> None:
    first = mac_address("request", 0)
    found = _rewritten("nics", (Nic(), Nic(mac=first)))
    assert found[0]["mac"] != found[1]["mac"] == first


@pytest.mark.parametrize(
    ("nics", "why"),
    [
        ((Nic(network="a", bridge="b"),), "both"),
        ((Nic(network="a"), Nic()), "only 1"),
        ((Nic(mac="52:54:00:00:00:01"), Nic(network="a", mac="52:54:00:00:00:01")), "same MAC"),
    ],
)
def test_wishes_that_cannot_be_met(nics: tuple[Nic, ...], why: str) -> None:
    with pytest.raises(ImageUnsupported, match=why):
        _rewritten("plain", nics)


def test_a_definition_without_devices() -> None:
    root = domain_xml.parse("<domain><name>a</name></domain>")
    with pytest.raises(ImageUnsupported, match="<devices>"):
        domain_nics.rewrite(root, None, "request")
