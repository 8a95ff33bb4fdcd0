# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain import given_xml
from maglica.domain.given_xml import MAX_SIZE, firmware, read
from maglica.model.errors import ImageUnsupported
from maglica.model.image import Firmware
from support.domains import IMAGES, definition, domain

OS = "<os><type>hvm</type></os>"
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
DISK = "<disk type='file'><source file='/x'/><target dev='{}'/></disk>"
DRIVE = "<disk type='file' device='cdrom'>{}<target dev='sdb'/></disk>"


@pytest.mark.parametrize(
    ("outside", "why"),
    [
        ("<seclabel type='none'/>", "has <seclabel>"),
        ("<resource><partition>/machine</partition></resource>", "has <resource>"),
        ("<launchSecurity type='sev'/>", "has <launchSecurity>"),
        ("<bootloader>/bin/sh</bootloader>", "has <bootloader>"),
        ("<qemu:commandline><qemu:arg value='-snapshot'/></qemu:commandline>", "qemu:commandline"),
        (f"<commandline xmlns='{QEMU}'><arg value='-S'/></commandline>", "has <commandline>"),
        (f"<a:override xmlns:a='{QEMU}'/>", "has <a:override>"),
        ("<sysinfo type='fwcfg'><entry name='x' file='etc/shadow'/></sysinfo>", "'fwcfg'"),
        ("<memtune><hard_limit>/</hard_limit></memtune>", "names '/' in <hard_limit>"),
        ("<memtune><x/>/etc</memtune>", "names '/etc' in <x>"),
        ("<on_crash>coredump-restart</on_crash>", "its memory written to a file"),
        (OS, "has 2 <os>"),
        ("<devices/>", "has 2 <devices>"),
    ],
)
def test_what_is_not_taken_beside_devices(outside: str, why: str) -> None:
    with pytest.raises(ImageUnsupported, match=why):
        read(domain(outside=OS + outside))


@pytest.mark.parametrize(
    ("boot", "why"),
    [
        ("<kernel>/etc/shadow</kernel>", "has <kernel> in <os>"),
        ("<initrd>x</initrd>", "has <initrd> in <os>"),
        ("<dtb>x</dtb>", "has <dtb> in <os>"),
        ("<acpi><table type='slic'>/x</table></acpi>", "has <acpi> in <os>"),
        ("<loader type='pflash'>/x</loader>", "let <os> have firmware='efi'"),
        ("<nvram>/etc/passwd</nvram>", "let <os> have firmware='efi'"),
        ("<smbios mode='/x'/>", "names '/x' in <smbios>"),
    ],
)
def test_what_is_not_taken_to_start_from(boot: str, why: str) -> None:
    with pytest.raises(ImageUnsupported, match=why):
        read(domain(outside=OS.replace("</os>", f"{boot}</os>")))


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("<hostdev mode='subsystem' type='pci'/>", "a device <hostdev>"),
        ("<filesystem type='mount'><source dir='/'/></filesystem>", "a device <filesystem>"),
        ("<shmem name='x'/>", "a device <shmem>"),
        ("<memory model='nvdimm'/>", "a device <memory>"),
        ("<pstore backend='acpi-erst'/>", "a device <pstore>"),
        ("<smartcard mode='host'/>", "a device <smartcard>"),
        ("<serial type='file'><source path='/etc/cron.d/x'/></serial>", "serial of type 'file'"),
        ("<serial type='pty'><log file='x'/></serial>", "<log> in a serial"),
        ("<serial type='unix'><source mode='bind' path='x'/></serial>", "<source> in a serial"),
        ("<console type='dev'/>", "console of type 'dev'"),
        ("<channel type='tcp'/>", "channel of type 'tcp'"),
        ("<redirdev bus='usb' type='tcp'/>", "redirdev of type 'tcp'"),
        ("<interface type='ethernet'/>", "interface of type 'ethernet'"),
        ("<interface type='hostdev'/>", "interface of type 'hostdev'"),
        ("<interface type='user'><backend type='passt'/></interface>", "<backend> in an interface"),
        ("<interface type='bridge'><script path='x'/></interface>", "<script> in an interface"),
        ("<interface type='bridge'><rom file='x'/></interface>", "<rom> in an interface"),
        ("<graphics type='sdl'/>", "display of type 'sdl'"),
        ("<graphics type='vnc' socket='x'/>", "on a socket"),
        ("<graphics type='vnc'><listen type='socket' socket='x'/></graphics>", "on a socket"),
        ("<graphics type='vnc' passwd='secret'/>", "display with a password"),
        ("<graphics type='spice'><gl rendernode='/dev/x'/></graphics>", "names '/dev/x' in <gl>"),
        ("<audio id='1' type='file' path='x'/>", "audio of type 'file'"),
        ("<tpm><backend type='passthrough'/></tpm>", "TPM that is not an emulator"),
        ("<tpm><backend type='emulator'><source path='x'/></backend></tpm>", "not an emulator"),
        ("<tpm><backend type='emulator'><encryption/></backend></tpm>", "state is encrypted"),
        ("<rng><backend model='random'>/etc/shadow</backend></rng>", "from '/etc/shadow'"),
        ("<rng><backend model='random'><x/>/etc/shadow</backend></rng>", "from '/etc/shadow'"),
        ("<rng><backend model='egd' type='unix'/></rng>", "from 'egd'"),
        ("<watchdog model='itco' action='dump'/>", "writes its memory to a file"),
        ("<controller type='usb'><x file='/x'/></controller>", "names '/x' in <x>"),
        (DISK.format("vda") + DISK.format("vdb"), "has the disks vda, vdb"),
        ("<disk type='block' device='lun'><target dev='sda'/></disk>", "that is a 'lun'"),
        ("<disk type='file'/>", "a disk without target"),
        (DRIVE.format("<source file='/x'/>"), "'/x'"),
        (DRIVE.format("<source dev='/x'/>"), "<source> in its cdrom sdb"),
        (DRIVE.format("<source/><source file='/x'/>"), "<source> in its cdrom sdb"),
        (DRIVE.format("<backingStore><source file='/x'/></backingStore>"), "<backingStore> in its"),
        (DRIVE.format("<mirror file='/x'/>"), "<mirror> in its cdrom sdb"),
        (
            "<disk type='file'><target dev='vda&#10;'/></disk>",
            r"target 'vda\\n', which is not a name",
        ),
        (DISK.format("vd" + "a" * 300), "which is not a name of a disk"),
        ("<disk><driver iothread='/x'/><target dev='vda'/></disk>", "names '/x' in <driver>"),
    ],
)
def test_what_devices_are_not_taken(device: str, why: str) -> None:
    with pytest.raises(ImageUnsupported, match=f"xml can't be taken: it .*{why}"):
        read(domain(device, outside=OS))


def test_a_drive_without_a_medium_is_taken() -> None:
    empty = "<driver name='qemu'/><source/><backingStore/><readonly/>"
    root = read(domain(DRIVE.format(empty), outside=OS))
    assert root.find("devices/disk/readonly") is not None


def test_every_reason_is_named_in_one_line() -> None:
    device = "<serial type='a&#10;b'/><hostdev/><hostdev/>"
    with pytest.raises(ImageUnsupported) as refused:
        read(domain(device, outside=OS + "<seclabel/>"))
    text = str(refused.value)
    assert text.count("; it ") == 2
    assert "\n" not in text
    with pytest.raises(ImageUnsupported, match="and 12 more"):
        read(domain("".join(f"<x{n}/>" for n in range(20)), outside=OS))


def test_what_is_too_long_or_hostile() -> None:
    with pytest.raises(ImageUnsupported, match="xml is longer than 65536"):
        read(domain(" " * MAX_SIZE, outside=OS))
    with pytest.raises(ImageUnsupported, match="document type"):
        read("<!DOCTYPE domain []>" + domain(outside=OS))
    with pytest.raises(ImageUnsupported, match="no <memory>"):
        read(domain(outside=OS).replace("<memory>1048576</memory>", ""))


def test_the_firmware_that_a_definition_says() -> None:
    assert firmware(read(domain(outside=OS))) is None
    for said, meant in (("efi", Firmware.UEFI), ("bios", Firmware.BIOS)):
        root = read(domain(outside=OS.replace("<os", f"<os firmware='{said}'")))
        assert firmware(root) is meant


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_taken_names_no_file_of_a_host(image: str) -> None:
    """Of the definitions that exist, most have something of a host; none of it passes."""
    try:
        root = read(definition(image))
    except ImageUnsupported as error:
        assert image != "plain", error
        return
    for element in root.iterfind("devices/disk"):
        for child in [child for child in element if child.tag not in given_xml.DISK_KEPT]:
            element.remove(child)
    for element in root.iterfind("devices/rng"):
        element.clear()
    text = "".join(
        ET.tostring(child, encoding="unicode")
        for child in root
        if child.tag not in ("title", "metadata", "description", "sysinfo")
    )
    assert "='/" not in text.replace('"', "'")
