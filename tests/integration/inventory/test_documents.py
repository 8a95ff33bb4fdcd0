# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's files of README and docs, as written, and the graph that README shows."""

from __future__ import annotations

import pytest
from maglica.model.vm import vm_uuid
from support import testdriver
from support.documents import block
from support.testdriver import Libvirtd

from .conftest import MADE, REQUEST, Inventory

README, COMING = "README.md", "docs/coming-from.md"
OFF = ("debian-12", "debian12.original")


@pytest.fixture
def configured(libvirtd: Libvirtd, inventory: Inventory) -> Inventory:
    """The user's own configuration names two hosts as those of the demo."""
    images = [testdriver.domain(name, number, state=5) for number, name in enumerate(OFF, 2)]
    vm = testdriver.domain("vm0.example.jp", 1, identity=vm_uuid(REQUEST), metadata=MADE)
    text = ""
    for host, domains in (("kvm0", [vm, *images]), ("kvm1", images)):
        node = testdriver.node(libvirtd.folder / f"demo-{host}.xml", domains)
        text += f"[host {host}.example.jp]\nuri = {libvirtd.uri(node)}\n"
    file = inventory.folder / ".config" / "maglica" / "maglica.conf"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return inventory


def test_the_graph_of_the_readme(configured: Inventory) -> None:
    configured.write(block(README, "plugin: ").text)
    shown = block(README, "--graph")
    ((_program, _flag, name, graph),) = shown.commands
    listed = configured.list(configured.folder / name, graph)
    assert listed.text == shown.text.split("\n", 1)[1]


def test_an_inventory_without_images(configured: Inventory) -> None:
    listed = configured.list(block(COMING, "include: [vms]").text)
    assert sorted(listed.hosts) == ["vm0.example.jp"]


def test_an_inventory_whose_images_have_a_pattern(configured: Inventory) -> None:
    listed = configured.list(block(COMING, "image_pattern: ").text)
    assert listed.group("maglica_images") == ["debian12.original"]
    assert "debian-12" in str(listed.group("maglica_vms"))
