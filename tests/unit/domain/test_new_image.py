# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from maglica.domain import clone as domain_clone
from maglica.domain.clone import DiskSource
from maglica.domain.definition import describe, hides_nvram
from maglica.domain.image_metadata import ImageRecord, OwnVersion
from maglica.domain.metadata import OwnVolume
from maglica.domain.new_image import NewImage, definition, with_nvram
from maglica.model.errors import ImageUnsupported
from maglica.model.image import Firmware, ImageVersion, image_uuid
from maglica.model.request import Nic
from support.domains import domain, plan

REQUEST = "00000000-0000-4000-8000-000000000003"
RECORD = ImageRecord(
    REQUEST,
    "alice",
    (OwnVersion(ImageVersion(request=REQUEST), (OwnVolume("vda", "p", "i", "/p/i"),)),),
)
PLAN = NewImage(
    name="debian-13",
    record=RECORD,
    disk=DiskSource("/pool/debian-13.vda.qcow2", "qcow2", "pool", "debian-13.vda.qcow2"),
    firmware=Firmware.BIOS,
    kvm=True,
)
DISK = "<disk type='file'><source file='/their.img'/><target dev='sda' bus='sata'/></disk>"


def made(**changes: object) -> ET.Element:
    return ET.fromstring(definition(replace(PLAN, **changes)))


def test_a_guest_of_today() -> None:
    xml = definition(PLAN)
    found = describe(xml)
    assert (found.name, found.uuid, found.kind) == ("debian-13", image_uuid(REQUEST), "kvm")
    assert (found.vcpus, found.memory_mib) == (2, 2048)
    assert found.image == RECORD
    (disk,) = found.copied_disks
    assert (disk.target, disk.source, disk.format) == ("vda", PLAN.disk.path, "qcow2")
    (nic,) = found.interfaces
    assert nic.network == "default"
    assert nic.mac.startswith("52:54:00:")
    root = made()
    assert root.find("os/type").get("machine") == "q35"
    assert root.find("cpu").get("mode") == "host-passthrough"
    assert root.find("devices/disk/driver").attrib == {
        "discard": "unmap",
        "name": "qemu",
        "type": "qcow2",
    }
    assert root.find("devices/controller[@type='scsi']").get("model") == "virtio-scsi"
    assert root.find("devices/channel/target").get("name") == "org.qemu.guest_agent.0"
    assert root.find("devices/interface/model").get("type") == "virtio"
    for kind in ("serial", "console", "rng"):
        assert root.find(f"devices/{kind}") is not None
    for kind in ("graphics", "video"):
        assert root.find(f"devices/{kind}") is None
    assert definition(PLAN) == xml


def test_it_can_be_cloned_and_its_clone_has_nothing_of_what_it_is() -> None:
    xml = definition(replace(PLAN, firmware=Firmware.UEFI))
    xml = with_nvram(xml, "/nvram/debian-13.0a1b2c3d_VARS.fd")
    cloned = describe(domain_clone.clone(xml, plan(xml)))
    assert cloned.made is not None
    assert cloned.image is None
    assert cloned.nvram != describe(xml).nvram


def test_without_kvm() -> None:
    root = made(kvm=False)
    assert root.get("type") == "qemu"
    assert root.find("cpu").attrib == {"mode": "maximum"}


def test_uefi() -> None:
    root = made(firmware=Firmware.UEFI)
    assert root.find("os").get("firmware") == "efi"
    features = {e.get("name"): e.get("enabled") for e in root.iterfind("os/firmware/feature")}
    assert features == {"secure-boot": "no", "enrolled-keys": "no"}
    assert root.find("features/smm") is None
    secure = made(firmware=Firmware.UEFI, secure_boot=True)
    features = {e.get("name"): e.get("enabled") for e in secure.iterfind("os/firmware/feature")}
    assert features == {"secure-boot": "yes", "enrolled-keys": "yes"}
    assert secure.find("features/smm").get("state") == "on"
    with pytest.raises(ImageUnsupported, match="starts by BIOS"):
        made(secure_boot=True)


def test_its_uefi_variables_are_its_own() -> None:
    xml = definition(replace(PLAN, firmware=Firmware.UEFI))
    assert hides_nvram(ET.fromstring(xml))
    found = describe(with_nvram(with_nvram(xml, "/other.fd"), "/nvram/own_VARS.fd"))
    assert found.nvram == "/nvram/own_VARS.fd"
    assert found.image == replace(RECORD, nvram="/nvram/own_VARS.fd")
    with pytest.raises(ImageUnsupported, match="not an image that Maglica made"):
        with_nvram(domain(outside="<os/>"), "/x.fd")


def test_as_it_is_asked_for() -> None:
    nics = (Nic(bridge="br0", mac="52:54:00:00:00:01"), Nic(network="lab"))
    root = made(vcpus=4, memory_mib=512, interfaces=nics)
    found = describe(ET.tostring(root, encoding="unicode"))
    assert (found.vcpus, found.memory_mib) == (4, 512)
    assert [nic.network for nic in found.interfaces] == ["br0", "lab"]
    assert found.interfaces[0].mac == "52:54:00:00:00:01"
    assert describe(ET.tostring(made(interfaces=()), encoding="unicode")).interfaces == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"interfaces": (Nic("lab", addresses=("192.0.2.7/24",)),)}, "interface 0 .* an address"),
        ({"interfaces": (Nic(),)}, "names no network or bridge"),
        ({"interfaces": (Nic("lab", "br0"),)}, "both a network and a bridge"),
        ({"xml": domain(DISK), "vcpus": 2}, "xml says vcpus itself"),
        (
            {"xml": domain(DISK), "memory_mib": 1, "interfaces": ()},
            "xml says memory and interfaces itself",
        ),
        ({"xml": domain(DISK), "secure_boot": True}, "xml says secure_boot itself"),
        ({"xml": "<domain"}, "xml can't be taken: the definition is not XML"),
    ],
)
def test_what_can_t_be(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ImageUnsupported, match=why):
        made(**changes)


OWN = """<domain type='kvm' id='7' xmlns:o='http://example.com/o'>
  <name>theirs</name>
  <uuid>11111111-2222-4333-8444-0000000000FE</uuid>
  <hwuuid>11111111-2222-4333-8444-0000000000fd</hwuuid>
  <genid>11111111-2222-4333-8444-0000000000fc</genid>
  <title>a/b</title>
  <metadata><o:os id='http://debian.org/debian/13'/>
    <m:image xmlns:m='https://maglica.cloud/xmlns/image/1.0' request='x'/>
    <m:vm xmlns:m='https://maglica.cloud/xmlns/vm/1.0' request='x'/></metadata>
  <memory unit='GiB'>4</memory>
  <vcpu>3</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/theirs_VARS.fd</nvram>
  </os>
  <sysinfo type='smbios'><system>
    <entry name='uuid'>11111111-2222-4333-8444-0000000000fe</entry>
    <entry name='product'>a/b</entry>
  </system></sysinfo>
  <cpu mode='host-model'><feature policy='require' name='vmx'/><topology sockets='3'/></cpu>
  <clock offset='timezone' timezone='Europe/Berlin'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='block' device='disk' model='virtio-transitional' snapshot='no'>
      <driver name='qemu' type='raw' cache='none'/>
      <source dev='/dev/sda'/><backingStore/><readonly/>
      <target dev='sda' bus='sata'/><address type='drive' controller='0'/><serial>a/b</serial>
    </disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='bridge'>
      <mac address='52:54:00:aa:00:01'/><source bridge='br0'/><model type='e1000e'/>
    </interface>
    <serial type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/></serial>
    <channel type='unix'>
      <source mode='bind' path='/var/lib/libvirt/qemu/channel/agent'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <graphics type='vnc' port='5901'/>
    <video><model type='virtio'/></video>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
</domain>"""


def test_a_definition_of_its_user_s_own() -> None:
    xml = definition(replace(PLAN, xml=OWN, firmware=Firmware.UEFI))
    found, root = describe(xml), ET.fromstring(xml)
    assert (found.name, found.uuid) == (PLAN.name, PLAN.uuid)
    assert (found.vcpus, found.memory_mib, found.title) == (3, 4096, "a/b")
    assert found.image == RECORD
    assert found.made is None
    assert "http://debian.org/debian/13" in xml
    assert root.get("id") is None
    assert root.find("hwuuid") is None
    assert root.findtext("genid") not in (None, "11111111-2222-4333-8444-0000000000fc")
    assert root.findtext("sysinfo/system/entry[@name='uuid']") == PLAN.uuid
    disk, cdrom = found.disks
    assert (disk.target, disk.kind, disk.source, disk.format) == (
        "sda",
        "file",
        PLAN.disk.path,
        "qcow2",
    )
    assert not disk.shared
    assert root.find("devices/disk").attrib == {
        "type": "file",
        "device": "disk",
        "model": "virtio-transitional",
    }
    assert root.find("devices/disk/driver").get("cache") == "none"
    assert root.find("devices/disk/target").get("bus") == "sata"
    assert (cdrom.target, cdrom.source) == ("sdb", None)
    (nic,) = found.interfaces
    assert (nic.network, nic.mac == "52:54:00:aa:00:01") == ("br0", False)
    assert root.find("devices/interface/model").get("type") == "e1000e"
    assert hides_nvram(root)
    for path in ("/usr/", "/dev/sda", "/dev/pts", "/var/lib"):
        assert path not in xml


def test_its_processor_is_qemu_s_where_there_is_no_kvm() -> None:
    root = made(xml=OWN, kvm=False, firmware=Firmware.UEFI)
    assert (root.get("type"), root.find("cpu").get("mode")) == ("qemu", "maximum")
    assert [child.tag for child in root.find("cpu")] == ["topology"]
    named = OWN.replace("mode='host-model'", "mode='custom'")
    assert made(xml=named, kvm=False, firmware=Firmware.UEFI).find("cpu/feature") is not None


def test_the_firmware_is_as_the_disk_says_if_it_says_none() -> None:
    xml = OWN.replace(" firmware='efi'", "").replace("<loader", "<bootmenu enable='no'/><!--")
    xml = xml.replace("_VARS.fd</nvram>", "-->")
    assert made(xml=xml).find("os").get("firmware") is None
    assert made(xml=xml, firmware=Firmware.UEFI).find("os").get("firmware") == "efi"


def test_a_definition_without_a_disk_gets_one() -> None:
    root = made(xml=domain("", outside="<os><type>hvm</type></os>"))
    (disk,) = root.iterfind("devices/disk")
    assert disk.find("target").attrib == {"dev": "vda", "bus": "virtio"}
    assert disk.find("source").get("file") == PLAN.disk.path
