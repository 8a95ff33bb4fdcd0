# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica import domain_nics, domain_xml, names
from maglica.domain_nics import mac_address, rewrite
from maglica.errors import ImageUnsupported
from maglica.model import Nic
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
    assert found["children"] == ["mac", "source", "model", "driver", "boot", "address"]


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
