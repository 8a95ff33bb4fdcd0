# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition says of a domain that others made and Maglica has adopted."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain import definition, metadata, seen
from maglica.domain.definition import Definition
from maglica.model.image import image_uuid
from maglica.model.moment import Moment
from maglica.model.vm import Domain, vm_uuid
from support.domains import domain

UUID = "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11"
DISKS = """
  <disk type='file' device='disk'><source file='/srv/a.qcow2'/><target dev='vda'/></disk>
  <disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdb'/></disk>
  <disk type='block' device='disk'><source dev='/dev/vg/c'/><target dev='vdc'/></disk>
  <disk type='network' device='disk'><source protocol='rbd' name='p/i'/><target dev='vdd'/></disk>
  <disk type='file' device='disk'><source file='/srv/ro'/><target dev='vde'/><readonly/></disk>
  <disk type='file' device='disk'><source file='/srv/sh'/><target dev='vdf'/><shareable/></disk>
  <disk type='file' device='cdrom'><source file='/iso'/><target dev='sda'/></disk>"""
TAG = "<m:tag name='db'/><m:volume target='vda' pool='p' name='v' path='/etc/passwd'/>"


def adopted(uuid: str = UUID, of: str = UUID, more: str = "") -> Definition:
    said = f"adopted='{of}' request='r' created='1700000000' who='alice' image='i' base='b'"
    element = f"<m:vm xmlns:m='{metadata.VM_NAMESPACE}' {said}>{TAG}</m:vm>{more}"
    return definition.describe(domain(DISKS, f"<metadata>{element}</metadata>", uuid=uuid))


def test_it_names_its_own_uuid_and_nothing_is_maglicas_own() -> None:
    found = adopted()
    assert found.is_adopted
    assert found.made == metadata.Made(
        image="",
        request="r",
        created=Moment(1700000000),
        who="alice",
        clone_mode="",
        tags=("db",),
        adopted=True,
    )


def test_a_copy_of_it_is_not_taken_for_it() -> None:
    assert adopted(uuid="1b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11").made is None


def test_what_says_both_is_the_less_of_them() -> None:
    found = adopted(uuid=vm_uuid("r"), of=vm_uuid("r"))
    assert found.is_adopted and found.made is not None and not found.made.volumes


def test_an_image_that_maglica_made_stays_one() -> None:
    image = f"<m:image xmlns:m='{metadata.IMAGE_NAMESPACE}' request='r'/>"
    found = adopted(image_uuid("r"), image_uuid("r"), image)
    assert found.is_made_image and found.made is None


def test_its_files_are_those_that_are_written_to() -> None:
    assert adopted().foreign_disks == ("/srv/a.qcow2", "p/v")
    assert definition.describe(domain(DISKS, uuid=UUID)).foreign_disks == ()


@pytest.mark.parametrize(
    ("path", "found"),
    [("/var/lib/libvirt/qemu/nvram/d.fd", True), ("/usr/share/OVMF/OVMF_VARS.fd", False)],
)
def test_what_a_package_has_brought_is_none_of_them(path: str, found: bool) -> None:
    element = f"<m:vm xmlns:m='{metadata.VM_NAMESPACE}' adopted='{UUID}'/>"
    firmware = f"<os><type>hvm</type><nvram>{path}</nvram></os>"
    xml = domain(DISKS, f"<metadata>{element}</metadata>{firmware}", uuid=UUID)
    described = definition.describe(xml)
    assert described.nvram == path
    assert (path in described.foreign_disks) == found


def test_what_maglica_has_added_is_none_of_them() -> None:
    path, volume = (f"<m:volume disk='{n}' pool='p' name='{n}' path='/p/{n}'/>" for n in "ab")
    added = """
      <disk type='file' device='disk'><source file='/p/a'/><target dev='vdg'/></disk>
      <disk type='volume' device='disk'><source pool='p' volume='b'/><target dev='vdh'/></disk>"""
    element = f"<m:vm xmlns:m='{metadata.VM_NAMESPACE}' adopted='{UUID}'>{path}{volume}</m:vm>"
    xml = domain(DISKS + added, f"<metadata>{element}</metadata>", uuid=UUID)
    assert definition.describe(xml).foreign_disks == ("/srv/a.qcow2", "p/v")


def test_how_it_is_shown() -> None:
    shown = seen.described(Domain("d", UUID, "h", "running", True), adopted(), {})
    assert (shown.made, shown.adopted, shown.image, shown.base) == (False, True, None, None)
    assert (shown.tags, shown.who, shown.request) == (("db",), "alice", "r")
    assert shown.foreign_disks == ("/srv/a.qcow2", "p/v")
    copy = adopted(uuid="1b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11")
    assert not seen.described(Domain("d", UUID, "h", "running", True), copy, {}).adopted


@pytest.mark.parametrize("who", ["alice", "<&'\">"])
def test_what_is_written_is_read(who: str) -> None:
    element = metadata.adoption(UUID, "r", Moment(1700000000.7), who)
    element.set("xmlns", metadata.VM_NAMESPACE)
    text = ET.tostring(element, encoding="unicode")
    made = definition.describe(domain("", f"<metadata>{text}</metadata>", uuid=UUID)).made
    assert made is not None
    assert (made.adopted, made.who, made.created) == (True, who, Moment(1700000000))
