# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of families: which of them a guest uses, and who asks it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.guest.areas.plan import area_for
from maglica.guest.base_plan import IDENTITY
from maglica.guest.edits import Write
from maglica.guest.facts import GuestFacts, GuestInterface
from maglica.guest.filesystem import Filesystem
from maglica.guest.network import families, ifupdown
from maglica.guest.network.families import FAMILIES, by_name, examine
from maglica.guest.network.family import Network
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

ONLY_LO = "auto lo\niface lo inet loopback\n"
YAML = "/etc/netplan/lan.yaml"


def _other(_filesystem: Filesystem) -> Network:
    return Network((GuestInterface("eth0"),))


OTHER = replace(
    ifupdown.FAMILY,
    name="netplan",
    needs="netplan's files",
    used=lambda filesystem: bool(filesystem.glob("/etc/netplan/*.yaml")),
    examine=_other,
)


@pytest.fixture(name="two")
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "FAMILIES", (ifupdown.FAMILY, OTHER))


def guest(**files: str) -> FakeFilesystem:
    made = FakeFilesystem({**debian.FILES, "usr/sbin/netplan": ""})
    for path, text in files.items():
        made.add_file(path, text)
    return made


@pytest.mark.usefixtures("two")
def test_who_configures_an_interface_is_found() -> None:
    assert examine(guest())[0].name == "ifupdown"
    bare = guest(**{"/etc/network/interfaces": ONLY_LO})
    assert examine(bare)[0].name == "ifupdown"
    bare.add_file(YAML)
    family, network = examine(bare)
    assert (family.name, network.interfaces) == ("netplan", (GuestInterface("eth0"),))


@pytest.mark.usefixtures("two")
def test_two_that_configure_interfaces_are_named() -> None:
    with pytest.raises(GuestUnsupported, match="configured by ifupdown and netplan, while") as told:
        examine(guest(**{YAML: ""}))
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("two")
def test_a_family_s_own_files_are_its_own_matter() -> None:
    made = guest(**{YAML: "addresses: [192.0.2.9/24]\n"})
    with pytest.raises(GuestUnsupported, match="netplan"):
        examine(made)
    made.add_file("/etc/network/interfaces", ONLY_LO)
    assert examine(made)[0].name == "netplan"


@pytest.mark.usefixtures("two")
def test_what_is_supported_is_said_by_each_family() -> None:
    made = guest()
    made.remove("/usr/sbin/ifup")
    with pytest.raises(GuestUnsupported) as told:
        examine(made)
    assert "ifupdown with /etc/network/interfaces and the program ifup" in str(told.value)
    assert "or netplan with netplan's files" in str(told.value)


def test_an_unknown_family() -> None:
    with pytest.raises(GuestUnsupported, match="'morse' is unknown"):
        by_name("morse")


@pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])
def test_the_table_is_complete(family: families.Family) -> None:
    assert by_name(family.name) is family
    assert set(family.identity) <= set(IDENTITY)
    facts = GuestFacts((), "debian", "12", family.name, "image", "", shared=True)
    for edit in family.plan(facts, ()):
        assert isinstance(edit, Write)
        assert edit.path in family.room
    for path, more in family.room.items():
        assert area_for(Write(path, b"x"), None).size > more
