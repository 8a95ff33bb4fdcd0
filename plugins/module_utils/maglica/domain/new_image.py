# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the definition of an image's domain around a disk that came as a file: that of a guest of
today, or its user's own (given_xml.py). The result is libvirt's domain XML, to be defined.

Of today are q35 and virtio; a virtio-scsi controller, on which a cdrom is seen by every kernel (on
q35's SATA those that distributions make for clouds have no driver); the agent's channel; a random
number generator, without which a guest's first start may wait for entropy. The console is serial,
where cloud images have theirs, and there is no display: one would listen on a port of the host, and
cost memory. Its user's own definition may have one.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..model.errors import ImageUnsupported
from ..model.image import Firmware, image_uuid
from ..model.request import Nic
from . import given_xml, image_metadata, size
from . import nics as domain_nics
from .clone import DiskSource
from .definition import describe_disk, parse, text
from .image_metadata import ImageRecord
from .obstacles import obstacles

VCPUS = 2
MEMORY_MIB = 2048
# Where libvirt comes with a network, this is it.
NETWORK = "default"
_TODAY = """\
<domain>
  <name/>
  <uuid/>
  <metadata/>
  <memory unit="MiB">2048</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <boot dev="hd"/>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode="host-passthrough"/>
  <clock offset="utc">
    <timer name="rtc" tickpolicy="catchup"/>
    <timer name="pit" tickpolicy="delay"/>
    <timer name="hpet" present="no"/>
  </clock>
  <devices>
    <controller type="scsi" index="0" model="virtio-scsi"/>
    <serial type="pty">
      <target port="0"/>
    </serial>
    <console type="pty">
      <target type="serial" port="0"/>
    </console>
    <channel type="unix">
      <target type="virtio" name="org.qemu.guest_agent.0"/>
    </channel>
    <memballoon model="virtio"/>
    <rng model="virtio">
      <backend model="random">/dev/urandom</backend>
    </rng>
  </devices>
</domain>
"""
# CPUs that are the host's own, as only KVM can have them.
_HOST_CPUS = frozenset({"host-model", "host-passthrough"})


@dataclass(frozen=True)
class NewImage:
    """What the domain of an image shall be.

    ``record`` names the request that makes it, from which the domain's UUID derives. ``disk`` is
    its only one, a volume of its own. ``kvm``: whether this host can use KVM; else QEMU is the CPU.
    ``vcpus``, ``memory_mib`` and ``interfaces`` are as usual when None. ``xml`` is the definition
    of its user's own, which says these three itself.
    """

    name: str
    record: ImageRecord
    disk: DiskSource
    firmware: Firmware
    kvm: bool
    vcpus: int | None = None
    memory_mib: int | None = None
    interfaces: Sequence[Nic] | None = None
    secure_boot: bool = False
    xml: str | None = None

    @property
    def uuid(self) -> str:
        return image_uuid(self.record.request)


def asked_firmware(said: Firmware | None, secure_boot: bool, xml: str | None) -> Firmware | None:
    """Return the firmware that a user or his definition says; None if it is as the disk says.

    Raises ImageUnsupported for a definition that can't be taken.
    """
    if said is None and xml is not None:
        said = given_xml.firmware(given_xml.read(xml))
    return Firmware.UEFI if said is None and secure_boot else said


def check(
    name: str,
    *,
    firmware: Firmware | None,
    vcpus: int | None,
    memory_mib: int | None,
    interfaces: Sequence[Nic] | None,
    secure_boot: bool,
    xml: str | None,
) -> None:
    """Raise ImageUnsupported for what no host can make a definition of."""
    starts_by = asked_firmware(firmware, secure_boot, xml) or Firmware.BIOS
    machine = (vcpus, memory_mib, interfaces, secure_boot, xml)
    definition(NewImage(name, ImageRecord(), DiskSource("/"), starts_by, True, *machine))


def definition(plan: NewImage) -> str:
    """Return the domain XML of the image that ``plan`` asks for.

    Raises ImageUnsupported, with every reason, for a definition of its user's that can't be taken.
    """
    if plan.xml is None:
        root = _of_today(plan)
    else:
        _check_alone(plan)
        root = given_xml.read(plan.xml)
    _identity(root, plan)
    _processor(root, plan.kvm)
    _disk(root, plan.disk)
    _firmware(root, plan)
    domain_nics.rewrite(root, _interfaces(plan), plan.record.request)
    found = list(obstacles(root, own_networks=False))
    if found:
        raise ImageUnsupported("the image " + "; it ".join(found))
    return ET.tostring(root, encoding="unicode")


def with_nvram(xml: str, path: str) -> str:
    """Return the image's domain XML with its UEFI variables at ``path``, which are its own.

    libvirt gives a domain a file by its name alone, which a later domain of that name would use,
    and in a folder that only it knows: ``disk.nvram.hidden_path`` finds it.
    """
    root = parse(xml)
    boot = _child(root, "os")
    for old in boot.findall("nvram"):
        boot.remove(old)
    ET.SubElement(boot, "nvram").text = path
    record = image_metadata.recorded(root, text(root, "uuid"))
    if record is None or not record.made:
        raise ImageUnsupported("it is not an image that Maglica made")
    image_metadata.write(root, replace(record, nvram=path))
    return ET.tostring(root, encoding="unicode")


def _of_today(plan: NewImage) -> ET.Element:
    root = ET.fromstring(_TODAY)  # noqa: S314 - the text above
    size.set_vcpus(root, VCPUS if plan.vcpus is None else plan.vcpus)
    size.set_memory(root, MEMORY_MIB if plan.memory_mib is None else plan.memory_mib)
    return root


def _check_alone(plan: NewImage) -> None:
    said = {"vcpus": plan.vcpus, "memory": plan.memory_mib, "interfaces": plan.interfaces}
    twice = [name for name, value in said.items() if value is not None]
    if twice or plan.secure_boot:
        named = " and ".join([*twice, *(["secure_boot"] if plan.secure_boot else [])])
        raise ImageUnsupported(f"xml says {named} itself: give one or the other")


def _interfaces(plan: NewImage) -> Sequence[Nic] | None:
    if plan.xml is not None:
        return None
    if plan.interfaces is None:
        return (Nic(network=NETWORK),)
    for index, nic in enumerate(plan.interfaces):
        if nic != Nic(nic.network, nic.bridge, nic.mac):
            raise ImageUnsupported(
                f"interface {index} of an image has an address: its vms have addresses, each its"
                " own; an image only says on which network or bridge they are"
            )
    return plan.interfaces


def _identity(root: ET.Element, plan: NewImage) -> None:
    old_uuid = (root.findtext("uuid") or "").strip()
    for tag in ("name", "uuid", "hwuuid"):
        for old in root.findall(tag):
            root.remove(old)
    for place, (tag, value) in enumerate((("name", plan.name), ("uuid", plan.uuid))):
        element = ET.Element(tag)
        element.text = value
        root.insert(place, element)
    for element in root.iterfind("genid"):
        element.text = str(uuid.uuid5(uuid.UUID(plan.uuid), "genid"))
    # libvirt refuses a SMBIOS UUID that is not the domain's.
    for element in root.iterfind("sysinfo/*/entry"):
        if element.get("name") == "uuid" or (old_uuid and (element.text or "").strip() == old_uuid):
            element.text = plan.uuid
    image_metadata.write(root, plan.record)


def _processor(root: ET.Element, kvm: bool) -> None:
    root.set("type", "kvm" if kvm else "qemu")
    cpu = root.find("cpu")
    if not kvm and cpu is not None and cpu.get("mode") in _HOST_CPUS:
        # All that QEMU can be: what it is when nothing is said is too old for many distributions.
        cpu.set("mode", "maximum")
        for old in [child for child in cpu if child.tag != "topology"]:
            cpu.remove(old)


def _disk(root: ET.Element, source: DiskSource) -> None:
    devices = _child(root, "devices")
    given = [each for each in devices.iterfind("disk") if describe_disk(each).device == "disk"]
    disk = given[0] if given else ET.Element("disk")
    if not given:
        devices.insert(0, disk)
        ET.SubElement(disk, "driver", {"discard": "unmap"})
        ET.SubElement(disk, "target", {"dev": "vda", "bus": "virtio"})
    for old in [child for child in disk if child.tag not in given_xml.DISK_KEPT]:
        disk.remove(old)
    model = {name: value for name, value in disk.attrib.items() if name == "model"}
    disk.attrib = {"type": "file", "device": "disk", **model}
    driver = disk.find("driver")
    if driver is None:
        driver = ET.Element("driver")
        disk.insert(0, driver)
    driver.set("name", "qemu")
    driver.set("type", source.format)
    disk.insert(list(disk).index(driver) + 1, ET.Element("source", {"file": source.path}))


def _firmware(root: ET.Element, plan: NewImage) -> None:
    boot = _child(root, "os")
    # libvirt chooses the file anew, as the host has it.
    for tag in ("loader", "nvram"):
        for old in boot.findall(tag):
            boot.remove(old)
    if plan.firmware is Firmware.BIOS:
        if plan.secure_boot:
            raise ImageUnsupported("secure boot is UEFI's, and the image starts by BIOS")
        boot.attrib.pop("firmware", None)
        for old in boot.findall("firmware"):
            boot.remove(old)
        return
    boot.set("firmware", "efi")
    if boot.find("firmware") is None:
        wanted = "yes" if plan.secure_boot else "no"
        element = ET.Element("firmware")
        for name in ("enrolled-keys", "secure-boot"):
            ET.SubElement(element, "feature", {"enabled": wanted, "name": name})
        boot.insert(0, element)
    if plan.secure_boot:
        ET.SubElement(_child(root, "features"), "smm", {"state": "on"})


def _child(root: ET.Element, tag: str) -> ET.Element:
    element = root.find(tag)
    if element is None:
        raise ImageUnsupported(f"the definition has no <{tag}>")
    return element
