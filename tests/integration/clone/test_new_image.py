# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of an image's domain with a real libvirtd, which has QEMU and firmware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import libvirt
import pytest
from maglica.disk import nvram
from maglica.domain import clone, image_metadata, new_image
from maglica.domain.clone import DiskSource
from maglica.domain.definition import describe
from maglica.domain.image_metadata import ImageRecord, OwnVersion
from maglica.domain.metadata import IMAGE_NAMESPACE, PREFIX, OwnVolume
from maglica.domain.new_image import NewImage
from maglica.host_worker.job.vm import remove
from maglica.libvirtd.local import inactive_xml
from maglica.model.image import Firmware, ImageVersion
from maglica.model.request import Nic
from support import made_image

PLAN = NewImage(
    name="debian-13",
    record=ImageRecord(
        made_image.REQUEST,
        "alice",
        (OwnVersion(made_image.VERSION, (OwnVolume("vda", "default", "a & b", "/pool/a & b"),)),),
    ),
    disk=DiskSource("/pool/debian-13.vda.qcow2"),
    firmware=Firmware.BIOS,
    kvm=False,
)
NICS = (Nic(network="default"), Nic(bridge="br0", mac="52:54:00:00:00:07"))
OWN = """
<domain type='kvm'>
  <name>theirs</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <cpu mode='host-model'/>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/><source file='/theirs.img'/>
      <target dev='sda' bus='sata'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='network'><source network='default'/><model type='e1000e'/></interface>
    <graphics type='vnc'/>
    <video><model type='virtio'/></video>
  </devices>
</domain>
"""
PLANS = {
    "bios": PLAN,
    "uefi": replace(PLAN, firmware=Firmware.UEFI),
    "secure boot": replace(PLAN, firmware=Firmware.UEFI, secure_boot=True),
    "as asked for": replace(PLAN, vcpus=3, memory_mib=300, interfaces=NICS),
    "their own": replace(PLAN, firmware=Firmware.UEFI, xml=OWN),
}


@contextmanager
def defined(connection: libvirt.virConnect, xml: str) -> Iterator[libvirt.virDomain]:
    domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        yield domain
    finally:
        remove.undefine(domain, inactive_xml(domain))


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_libvirt_takes_it_and_would_run_it(connection: libvirt.virConnect, plan: NewImage) -> None:
    xml = new_image.definition(plan)
    path = nvram.hidden_path(xml, connection)
    assert (path is not None) == (plan.firmware is Firmware.UEFI)
    if path is not None:
        own = clone.nvram_path(path, plan.name, plan.uuid)
        assert own == f"/var/lib/libvirt/qemu/nvram/debian-13.{plan.uuid[:8]}_VARS.fd"
        xml = new_image.with_nvram(xml, own)
    with defined(connection, xml) as domain:
        kept = inactive_xml(domain)
        found = describe(kept)
        assert (found.uuid, found.image) == (plan.uuid, describe(xml).image)
        assert found.is_made_image
        clone.check(kept)
        arguments = connection.domainXMLToNative("qemu-argv", kept)
        assert "debian-13.vda.qcow2" in arguments
        if path is not None:
            assert own in arguments
            assert ("secboot" in arguments or ".ms." in arguments) == plan.secure_boot


def test_its_versions_are_changed_in_place(connection: libvirt.virConnect) -> None:
    with defined(connection, new_image.definition(PLAN)) as domain:
        old = describe(inactive_xml(domain)).image
        assert old is not None
        newer = OwnVersion(ImageVersion(f"sha256:{'1b' * 32}", request="another"))
        record = image_metadata.with_version(old, newer)
        kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
        text = image_metadata.for_libvirt(record)
        domain.setMetadata(kind, text, PREFIX, IMAGE_NAMESPACE, flags)
        xml = inactive_xml(domain)
        assert describe(xml).image == record
        assert xml.count(IMAGE_NAMESPACE) == 1
