# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A medium for cloud-init in the definitions of clones."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain import cdrom
from maglica.domain.clone import DiskSource, clone
from maglica.domain.definition import describe, parse
from maglica.domain.metadata import OwnVolume
from maglica.model.errors import StorageFailed
from maglica.model.vm import vm_uuid
from support.domains import IMAGES, definition, domain, plan

SCSI = "<controller type='scsi' index='{}' model='{}'/>"
DRIVE = "<disk type='file' device='{}'><source file='/x'/><target dev='{}' bus='scsi'/>{}</disk>"
AT = "<address type='drive' controller='{}' bus='0' target='{}' unit='{}'/>"
VIRTIO = "<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk>"
SATA_CD = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"


def added(devices: str) -> tuple[ET.Element, str]:
    root = parse(domain(devices))
    return root, cdrom.add(root, "/pool/seed.iso")


def place(root: ET.Element, target: str) -> tuple[str | None, ...]:
    address = root.find(f"devices/disk/target[@dev='{target}']/../address")
    assert address is not None
    return tuple(address.get(name) for name in ("controller", "bus", "target", "unit"))


def models(root: ET.Element) -> list[tuple[str | None, str | None]]:
    controllers = root.iterfind("devices/controller[@type='scsi']")
    return [(each.get("index"), each.get("model")) for each in controllers]


@pytest.mark.parametrize(
    ("devices", "target", "where", "controllers"),
    [
        # q35 and pc alike, without any SCSI controller.
        (VIRTIO, "sda", ("0", "0", "0", "0"), [("0", "virtio-scsi")]),
        (VIRTIO + SATA_CD, "sdb", ("0", "0", "0", "0"), [("0", "virtio-scsi")]),
        # One that fits is used.
        (
            SCSI.format(0, "virtio-scsi") + DRIVE.format("disk", "sda", AT.format(0, 0, 0)),
            "sdb",
            ("0", "0", "0", "1"),
            [("0", "virtio-scsi")],
        ),
        (
            SCSI.format(0, "virtio-transitional")
            + DRIVE.format("cdrom", "sdb", AT.format(0, 0, 1)),
            "sda",
            ("0", "0", "0", "0"),
            [("0", "virtio-transitional")],
        ),
        # A drive on another target of it is in nobody's way.
        (
            SCSI.format(0, "virtio-scsi") + DRIVE.format("disk", "sda", AT.format(0, 3, 0)),
            "sdb",
            ("0", "0", "0", "0"),
            [("0", "virtio-scsi")],
        ),
        # Another model does not fit: kernels for clouds have no driver for it.
        (
            SCSI.format(0, "lsilogic") + DRIVE.format("disk", "sda", AT.format(0, 0, 0)),
            "sdb",
            ("1", "0", "0", "0"),
            [("0", "lsilogic"), ("1", "virtio-scsi")],
        ),
        (
            SCSI.format(0, "lsilogic") + SCSI.format(1, "virtio-scsi"),
            "sda",
            ("1", "0", "0", "0"),
            [("0", "lsilogic"), ("1", "virtio-scsi")],
        ),
        # One that is full.
        (
            SCSI.format(0, "virtio-scsi")
            + "".join(DRIVE.format("disk", f"sdz{n}", AT.format(0, 0, n)) for n in range(256)),
            "sda",
            ("1", "0", "0", "0"),
            [("0", "virtio-scsi"), ("1", "virtio-scsi")],
        ),
        # Drives for which libvirt is still to choose a place.
        (
            DRIVE.format("disk", "sda", ""),
            "sdb",
            ("1", "0", "0", "0"),
            [("1", "virtio-scsi")],
        ),
        # A gap between the indices.
        (
            SCSI.format(0, "lsilogic") + SCSI.format(2, "lsilogic"),
            "sda",
            ("1", "0", "0", "0"),
            [("0", "lsilogic"), ("2", "lsilogic"), ("1", "virtio-scsi")],
        ),
    ],
)  # fmt: skip
def test_where_it_goes(
    devices: str,
    target: str,
    where: tuple[str, ...],
    controllers: list[tuple[str, str]],
) -> None:
    root, found = added(devices)
    assert found == target
    assert place(root, target) == where
    assert models(root) == controllers
    disks = describe(ET.tostring(root, "unicode")).disks
    (disk,) = [each for each in disks if each.target == target]
    assert (disk.device, disk.source, disk.format) == ("cdrom", "/pool/seed.iso", "raw")
    assert disk.read_only


def test_all_letters_may_be_taken() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    drive = "<disk type='file'><target dev='sd{}' bus='usb'/></disk>"
    assert added("".join(map(drive.format, letters)))[1] == "sdaa"


def test_all_names_may_be_taken() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [*letters, *(a + b for a in letters for b in letters)]
    drive = "<disk type='file'><target dev='sd{}' bus='usb'/></disk>"
    with pytest.raises(StorageFailed, match="from sda to sdzz"):
        added("".join(map(drive.format, names)))


@pytest.mark.parametrize("image", IMAGES)
def test_a_clone_with_a_seed(image: str) -> None:
    xml = definition(image)
    target = cdrom.free_target(parse(xml))
    seed = DiskSource("/pool/s.iso", "raw", "fast", "s.iso")
    made = describe(clone(xml, plan(xml, uuid=vm_uuid("r"), request="r", seed=seed)))
    assert target not in {disk.target for disk in describe(xml).disks}
    (disk,) = [disk for disk in made.disks if disk.target == target]
    assert (disk.source, disk.shared) == ("/pool/s.iso", True)
    assert made.made is not None
    # It is the vm's own, and goes with it.
    assert OwnVolume(target, "fast", "s.iso", "/pool/s.iso") in made.made.volumes
    assert len(made.made.volumes) == len(describe(xml).copied_disks) + 1


def test_seeds_of_the_image_are_taken_out() -> None:
    root = parse(domain(DRIVE.format("cdrom", "sda", "") + DRIVE.format("cdrom", "sdb", "")))
    cdrom.eject(root, ["sdb", "vda"])
    found = {disk.target: disk.source for disk in describe(ET.tostring(root, "unicode")).disks}
    assert found == {"sda": "/x", "sdb": None}
    xml = domain(VIRTIO + DRIVE.format("cdrom", "sdb", AT.format(0, 0, 0)))
    made = describe(clone(xml, plan(xml, image_seeds=("sdb",))))
    assert {disk.target: disk.source for disk in made.disks}["sdb"] is None
