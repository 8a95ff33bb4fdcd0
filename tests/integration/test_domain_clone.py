# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus cloned by virt-clone and by this library: what each changes in a definition.

libvirt's test driver holds the corpus, so that both start from the definition that libvirt gives
out. Every difference stands in one of the tables, with its reason.
"""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import libvirt
import pytest
from maglica.domain import definition as domain_xml
from maglica.domain.clone import clone
from support.domains import IMAGES, PLAN, definition, plan

TEST_NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"
# Both change these; each has its own value.
OWN_VALUE = {
    "uuid#": "it derives from the request",
    "os/nvram#": "the name of the file shows whose it is",
    "devices/interface/mac@address": "it derives from the request and the interface's place",
    "devices/disk/source@file": "volumes are named so that they are known as Maglica's",
    "devices/disk/source@dev": "the copy of a block device is a file",
    "devices/graphics@autoport": "it is said in words too that libvirt chooses the ports",
}
# virt-clone leaves these as they are.
ONLY_OURS = {
    "metadata": "it says what Maglica made",
    "metadata/m*": "it says what Maglica made",
    "genid#": "the guest must notice that it is a copy",
    "sysinfo/system/entry#": "libvirt refuses another UUID than the domain's",
    "devices/disk@type": "the copy of a block device is a file",
    "devices/disk/driver*": "the copy is an overlay, and its format is always stated",
    "devices/disk/source@file": "the copy of a block device is a file",
    "devices/disk/source@startupPolicy": "the copy must be there",
    "devices/disk/source/seclabel*": "it is about the image's file",
    "devices/disk/backingStore*": "the old chain is not the copy's",
    "devices/interface/virtualport/parameters@interfaceid": "it names the image's port",
    "devices/interface/filterref/parameter*": "the filter is for the image's address",
    "devices/serial/source@path": "two vms would write to one file or fight for one socket",
    "devices/serial/log@file": "two vms would write to one file",
    "devices/console/source@path": "it is the same device as the serial",
    "devices/console/log@file": "it is the same device as the serial",
    "devices/parallel/source@path": "two vms would write to one file",
    "devices/channel/source*": "two vms would fight for one socket",
    "devices/graphics@websocket": "two vms can't listen on one port",
    "devices/graphics@tlsPort": "two vms can't listen on one port",
    "devices/audio@path": "two vms would write to one file",
    "devices/vsock/cid@*": "the kernel refuses a CID that is in use",
    "seclabel*": "with one label, two vms could open each other's files",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a test driver's node with the corpus's domains and their volumes."""
    domains = ""
    paths = set()
    for image in IMAGES:
        xml = definition(image)
        paths |= set(re.findall(r"'/var/lib/libvirt/images/([^']+)'", xml))
        stopped = f"<test:runstate xmlns:test='{TEST_NAMESPACE}'>5</test:runstate>"
        xml = xml.replace("<domain ", f"<domain xmlns:test='{TEST_NAMESPACE}' ", 1)
        domains += xml.replace("</domain>", f"{stopped}</domain>")
    files = "".join(
        _volume(name, f"/var/lib/libvirt/images/{name}")
        for name in sorted(paths | {"volumes.original.qcow2"})
    )
    path = tmp_path_factory.mktemp("node") / "node.xml"
    path.write_text(
        f"""<node>{domains}
        <network><name>default</name><bridge name='virbr0'/></network>
        <pool type='dir'><name>default</name>
          <target><path>/var/lib/libvirt/images</path></target>{files}</pool>
        <pool type='logical'><name>vg0</name><target><path>/dev/vg0</path></target>
          {_volume("volumes.original", "/dev/vg0/volumes.original")}</pool>
        </node>""",
        encoding="utf-8",
    )
    return f"test://{path}"


def _volume(name: str, path: str) -> str:
    kind = "qcow2" if name.endswith("qcow2") else "raw"
    return (
        f"<volume><name>{name}</name><capacity>1048576</capacity>"
        f"<target><path>{path}</path><format type='{kind}'/></target></volume>"
    )


@pytest.fixture(scope="module")
def connection(node: str) -> Iterator[libvirt.virConnect]:
    opened = libvirt.open(node)
    yield opened
    opened.close()


def _defined(connection: libvirt.virConnect, image: str) -> str:
    name = domain_xml.describe(definition(image)).name
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    return connection.lookupByName(name).XMLDesc(flags)


def _virt_clone(node: str, name: str) -> str:
    command = ["virt-clone", "--connect", node, "--original", name, "--name", PLAN.name]
    done = subprocess.run(
        [*command, "--auto-clone", "--print-xml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _facts(element: ET.Element, path: str = "") -> dict[str, str]:
    """Return every element, attribute and text under ``element``, by its path."""
    found = {}
    for name, value in element.attrib.items():
        found[f"{path}@{name}"] = value
    if element.text and element.text.strip():
        found[f"{path}#"] = element.text.strip()
    seen: dict[str, int] = {}
    for child in element:
        index = seen[child.tag] = seen.get(child.tag, -1) + 1
        below = f"{path}/{child.tag}[{index}]".lstrip("/")
        found[below] = ""
        found |= _facts(child, below)
    return found


def _root(xml: str) -> ET.Element:
    root = domain_xml.parse(xml)
    for element in root.findall("test:runstate"):
        root.remove(element)
    root.attrib.pop("xmlns:test", None)
    return root


@dataclass(frozen=True)
class Difference:
    """What the two clones differ in, and which of them differs from the image there."""

    path: str
    by_virt_clone: bool
    by_us: bool


@pytest.fixture(scope="module")
def differences(node: str, connection: libvirt.virConnect) -> dict[str, list[Difference]]:
    """All differences of the two clones, by image."""
    return {image: list(_differing(image, node, connection)) for image in IMAGES}


def _differing(image: str, node: str, connection: libvirt.virConnect) -> Iterator[Difference]:
    xml = _defined(connection, image)
    before = _facts(_root(xml))
    theirs = _facts(_root(_virt_clone(node, domain_xml.describe(xml).name)))
    ours = _facts(_root(clone(xml, plan(xml))))
    for path in sorted(before.keys() | theirs.keys() | ours.keys()):
        was, their, our = before.get(path), theirs.get(path), ours.get(path)
        if their != our:
            yield Difference(re.sub(r"\[\d+\]", "", path), their != was, our != was)


def _explains(table: dict[str, str], path: str) -> list[str]:
    return [pattern for pattern in table if fnmatchcase(path, pattern)]


@pytest.mark.parametrize("image", IMAGES)
def test_what_virt_clone_changes_is_changed(
    image: str, differences: dict[str, list[Difference]]
) -> None:
    found = [d.path for d in differences[image] if d.by_virt_clone]
    assert found, "the clones are the same to the UUID: nothing was compared"
    assert [path for path in found if not _explains(OWN_VALUE, path)] == []
    assert all(d.by_us for d in differences[image] if d.by_virt_clone)


@pytest.mark.parametrize("image", IMAGES)
def test_what_else_is_changed_has_a_reason(
    image: str, differences: dict[str, list[Difference]]
) -> None:
    found = [d.path for d in differences[image] if not d.by_virt_clone]
    assert [path for path in found if not _explains(ONLY_OURS, path)] == []


def test_no_reason_is_left_over(differences: dict[str, list[Difference]]) -> None:
    everything = [difference for found in differences.values() for difference in found]
    for table, by_virt_clone in ((OWN_VALUE, True), (ONLY_OURS, False)):
        used = {
            pattern
            for difference in everything
            if difference.by_virt_clone is by_virt_clone
            for pattern in _explains(table, difference.path)
        }
        assert table.keys() - used == set()


@pytest.mark.parametrize("image", IMAGES)
def test_libvirt_accepts_the_clone(image: str, connection: libvirt.virConnect) -> None:
    xml = ET.tostring(_root(_defined(connection, image)), encoding="unicode")
    made = clone(xml, plan(xml))
    domain = connection.defineXMLFlags(made, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        found = domain_xml.describe(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        wanted = domain_xml.describe(made)
        assert (found.name, found.uuid, found.made) == (wanted.name, wanted.uuid, wanted.made)
        assert [nic.mac for nic in found.interfaces] == [nic.mac for nic in wanted.interfaces]
    finally:
        domain.undefine()
