# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be cloned, each with its reason; and its harmless neighbour that can."""

from __future__ import annotations

import pytest
from maglica.domain.clone import check, clone
from maglica.domain.definition import describe
from maglica.model.errors import ImageUnsupported
from maglica.model.request import Nic
from support.domains import IMAGES, PLAN, definition, domain, plan


def _disk(inner: str, attributes: str = "type='file' device='disk'") -> str:
    return f"<disk {attributes}>{inner}<target dev='vda'/></disk>"


def _argument(*values: str) -> str:
    arguments = "".join(f"<qemu:arg value='{value}'/>" for value in values)
    return f"<qemu:commandline>{arguments}</qemu:commandline>"


DEVICES = {
    "pci": ("<hostdev mode='subsystem' type='pci'/>", "passes a pci device"),
    "usb": ("<hostdev mode='subsystem' type='usb'/>", "passes a usb device"),
    "mdev": ("<hostdev mode='subsystem' type='mdev'/>", "passes a mdev device"),
    "no-target": ("<disk type='file'><source file='/a'/></disk>", "without target"),
    "nvme": (_disk("<source type='pci'/>", "type='nvme'"), "only one vm can own"),
    "nvme-read-only": (
        _disk("<source type='pci'/><readonly/>", "type='nvme'"),
        "only one vm can own",
    ),
    "vhostuser-disk": (_disk("<source type='unix' path='/s'/>", "type='vhostuser'"), "type vhostu"),
    "vdpa-disk": (_disk("<source dev='/dev/vhost-vdpa-0'/>", "type='vhostvdpa'"), "type vhostvdpa"),
    "lun": (_disk("<source dev='/dev/sdz'/>", "type='block' device='lun'"), "SCSI device"),
    "rbd": (_disk("<source protocol='rbd' name='a/b'/>", "type='network'"), "network source"),
    "fat": (_disk("<source dir='/srv'/>", "type='dir'"), "dir source"),
    "encrypted": (_disk("<source file='/a'><encryption format='luks'/></source>"), "encrypted"),
    "encrypted-old": (_disk("<source file='/a'/><encryption format='luks'/>"), "encrypted"),
    "fd": (_disk("<source file='/a' fdgroup='x'/>"), "file descriptor"),
    "slices": (_disk("<source file='/a'><slices/></source>"), "<slices>"),
    "reservations": (
        _disk("<source dev='/dev/a'><reservations managed='yes'/></source>", "type='block'"),
        "<reservations>",
    ),
    "twice": (
        _disk("<source file='/a'/>") + "<disk type='file'><source file='/a'/>"
        "<target dev='vdb'/></disk>",
        "as two disks",
    ),
    "nic-hostdev": ("<interface type='hostdev'/>", "passes a device of the host"),
    "nic-vdpa": ("<interface type='vdpa'/>", "vDPA"),
    "nic-vhostuser": ("<interface type='vhostuser'/>", "vhost-user socket"),
    "nic-server": ("<interface type='server'/>", "listens on a TCP port"),
    "nic-udp": ("<interface type='udp'/>", "listens on a UDP port"),
    "nic-passthrough": (
        "<interface type='direct'><source dev='eth1' mode='passthrough'/></interface>",
        "owns the host's interface eth1",
    ),
    "nic-tap": (
        "<interface type='ethernet'><target dev='tap9' managed='no'/></interface>",
        "prepared device tap9",
    ),
    "nic-ports": (
        "<interface type='user'><portForward proto='tcp'/></interface>",
        "forwards ports",
    ),
    "serial-dev": (
        "<serial type='dev'><source path='/dev/ttyS0'/></serial>",
        "owns /dev/ttyS0 of the host",
    ),
    "parallel-dev": (
        "<parallel type='dev'><source path='/dev/parport0'/></parallel>",
        "owns /dev/parport0",
    ),
    "pipe": ("<serial type='pipe'><source path='/p'/></serial>", "owns /p"),
    "serial-tcp": (
        "<serial type='tcp'><source mode='bind' host='0.0.0.0' service='4555'/></serial>",
        "listens on port 4555",
    ),
    "console-udp": (
        "<console type='udp'><source mode='connect' host='a' service='1'/>"
        "<source mode='bind' host='b' service='2'/></console>",
        "listens on port 2",
    ),
    "redirdev-tcp": (
        "<redirdev bus='usb' type='tcp'><source mode='bind' service='4000'/></redirdev>",
        "listens on port 4000",
    ),
    "rng-tcp": (
        "<rng><backend model='egd' type='tcp'><source mode='bind' service='99'/></backend></rng>",
        "listens on port 99",
    ),
    "smartcard": ("<smartcard mode='host'/>", "card reader"),
    "tpm": (
        "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
        "TPM of type passthrough",
    ),
    "nvdimm": (
        "<memory model='nvdimm'><source><path>/pm</path></source><target/></memory>",
        "keeps memory in /pm",
    ),
    "virtiofs-socket": (
        "<filesystem type='mount'><source socket='/run/fs.sock'/></filesystem>",
        "behind the socket /run/fs.sock",
    ),
    "filesystem": (
        "<filesystem type='mount'><source dir='/srv'/><target dir='srv'/></filesystem>",
        "can write to /srv of the host.*make that <filesystem> read-only",
    ),
    "filesystem-unknown": ("<filesystem type='future'/>", "can write to future"),
    "shmem": ("<shmem name='board'><size unit='M'>4</size></shmem>", "the memory board in common"),
    "lease": (
        "<lease><lockspace>a</lockspace><key>db</key><target path='/l'/></lease>",
        "holds the lease db",
    ),
    "certificates": (
        "<smartcard mode='host-certificates'><certificate>a</certificate></smartcard>",
        "the identity of one card",
    ),
    "display-bus": (
        "<graphics type='dbus' address='unix:path=/run/bus'/>",
        "on the bus unix:path=/run/bus",
    ),
    "display-unknown": ("<graphics type='future'/>", "not known, 'future'"),
    "nic-host-address": (
        "<interface type='ethernet'><source><ip address='192.0.2.1'/></source></interface>",
        "gives the host an address",
    ),
    "nic-route": (
        "<interface type='ethernet'><source><route address='192.0.2.0'/></source></interface>",
        "gives the host an address or a route",
    ),
    "nic-unknown": ("<interface type='future'/>", "interface 0, which is of a type.*'future'"),
    "channel-unknown": ("<channel type='nmdm'/>", "not known, 'nmdm'"),
    "input-unknown": ("<input type='future'/>", "input device"),
    "device-unknown": ("<future/>", "has a device <future>"),
    "path-unknown": (
        "<watchdog model='itco' state='/var/lib/state'/>",
        "names /var/lib/state of the host in watchdog@state",
    ),
    "path-unknown-text": (
        "<sound model='ich9'><record>/srv/a.wav</record></sound>",
        "names /srv/a.wav of the host in sound/record",
    ),
    "evdev": ("<input type='evdev'><source dev='/dev/input/event1'/></input>", "input device"),
}
OUTSIDE = {
    "nvram-network": (
        "<os><nvram type='network'><source protocol='iscsi'/></nvram></os>",
        "UEFI variables with a network source",
    ),
    "nvram-varstore": ("<os><varstore path='/v.json'/></os>", "in a <varstore>"),
    "loader-writable": (
        "<os><loader readonly='no' type='pflash'>/srv/fw.fd</loader></os>",
        "can write to its firmware /srv/fw.fd.*make its <loader> read-only",
    ),
    "loader-by-default": (
        "<os><loader type='pflash'>/srv/fw.fd</loader></os>",
        "can write to its firmware",
    ),
    "sev-session": (
        "<launchSecurity type='sev'><policy>1</policy><session>AA</session></launchSecurity>",
        "has <session> for its start",
    ),
    "sev-dhcert": (
        "<launchSecurity type='sev'><dhCert>AA</dhCert></launchSecurity>",
        "has <dhCert>",
    ),
    "fibre-channel": (
        "<resource><fibrechannel appid='app'/></resource>",
        "identity of its own on Fibre Channel",
    ),
    "kernel-hostname": (
        "<os><cmdline>root=/dev/vda systemd.hostname=web0</cmdline></os>",
        "is told systemd.hostname=web0 on its kernel's command line",
    ),
    "kernel-address": ("<os><cmdline>ip=192.0.2.7::192.0.2.1</cmdline></os>", "ip=192.0.2.7::"),
    "kernel-ipv6": ("<os><cmdline>ip=[2001:db8::7]::</cmdline></os>", "is told ip=.2001:db8"),
    "credential": (
        "<sysinfo type='smbios'><oemStrings>"
        "<entry>io.systemd.credential:system.hostname=web0</entry></oemStrings></sysinfo>",
        "is told system.hostname by <sysinfo>",
    ),
    "credential-fwcfg": (
        "<sysinfo type='fwcfg'>"
        "<entry name='opt/io.systemd.credentials/system.machine_id'>0</entry></sysinfo>",
        "is told system.machine_id",
    ),
    "credential-network": (
        "<sysinfo type='smbios'><oemStrings><entry>io.systemd.credential.binary:"
        "network.network.50-static=QWRkcmVzcw==</entry></oemStrings></sysinfo>",
        "is told network.network.50-static by <sysinfo>",
    ),
    "kernel-credential": (
        "<os><cmdline>systemd.set_credential=system.machine_id:0</cmdline></os>",
        "is told systemd.set_credential=system.machine_id:0 on its kernel",
    ),
    "kernel-cloud-init": ("<os><cmdline>network-config=bmV0</cmdline></os>", "network-config=bmV0"),
    "kernel-initiator": ("<os><cmdline>rd.iscsi.initiator=iqn.a</cmdline></os>", "initiator=iqn.a"),
    "kernel-nvme": ("<os><cmdline>rd.nvmf.hostid=1-2</cmdline></os>", "rd.nvmf.hostid=1-2"),
    "smbios-credential": (
        _argument("-smbios", "type=11,value=io.systemd.credential:system.hostname=web0"),
        "gives QEMU system.hostname by -smbios by hand",
    ),
    "fwcfg-credential": (
        _argument("-fw_cfg", "string=0,name=opt/io.systemd.credentials/system.machine_id"),
        "gives QEMU system.machine_id by -fw_cfg by hand",
    ),
    "unknown": ("<future/>", "has <future>, which two vms might not both have"),
    "unknown-prefix": ("<x:future xmlns:x='http://example.com/x'/>", "has <x:future>"),
    "smbios-uuid": (_argument("-smbios", "type=1,uuid=1-2"), "gives QEMU uuid by -smbios"),
    "global-guid": (_argument("--global", "vmgenid.guid=1-2"), "gives QEMU guid by -global"),
    "global-mac": (_argument("-global", "e1000.mac=52:54:00:0:0:1"), "gives QEMU mac by -global"),
    "disk": (_argument("-no-reboot", "/srv/disk.img"), "the disk /srv/disk.img by hand"),
    "environment": (
        "<qemu:commandline><qemu:env name='QEMU_WAV_PATH' value='/a'/></qemu:commandline>",
        "environment variable QEMU_WAV_PATH",
    ),
    "override": (
        "<qemu:override><qemu:device alias='net0'><qemu:frontend>"
        "<qemu:property name='mac' type='string' value='52:54:00:00:00:01'/>"
        "</qemu:frontend></qemu:device></qemu:override>",
        "overrides the property mac",
    ),
    "drive": (_argument("-drive", "file=/srv/disk.img"), "option -drive"),
    "drive-two-dashes": (_argument("--drive", "file=/srv/disk.img"), "option --drive"),
    "netdev": (_argument("-cpu", "host", "-netdev", "user,id=n"), "option -netdev"),
    "chardev": (_argument("-chardev", "socket,path=/s,server=on,id=c"), "option -chardev"),
    "device": (_argument("-device", "vfio-pci,host=01:00.0"), "option -device"),
}
FINE = {
    "serial-tcp-client": (
        "<serial type='tcp'><source mode='connect' host='a' service='4555'/></serial>"
    ),
    "rng": "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
    "tpm": "<tpm><backend type='emulator'/></tpm>",
    "nvdimm-read-only": (
        "<memory model='nvdimm'><source><path>/pm</path></source>"
        "<target><readonly/></target></memory>"
    ),
    "user-network": "<interface type='user'><ip family='ipv4' address='10.9.0.0'/></interface>",
    "macvtap": "<interface type='direct'><source dev='eth1' mode='bridge'/></interface>",
    "filesystem-read-only": (
        "<filesystem type='mount'><source dir='/srv'/><target dir='/srv'/><readonly/></filesystem>"
    ),
    "password": "<graphics type='vnc' passwd='/secret'/>",
    "log": "<channel type='spicevmc'><log file='/var/log/a'/><target name='/x'/></channel>",
    "label": "<serial type='pty'><source><seclabel><label>/x</label></seclabel></source></serial>",
    "read-only-rbd": _disk("<source protocol='rbd' name='a/b'/><readonly/>", "type='network'"),
    "iso-twice": "".join(
        f"<disk type='file'><source file='/a'/><target dev='{dev}'/><readonly/></disk>"
        for dev in ("sda", "sdb")
    ),
}


FINE_OUTSIDE = {
    "texts": "<title>/srv</title><description>/srv</description>"
    "<metadata><x:a xmlns:x='http://example.com' p='/srv'>/srv</x:a></metadata>",
    "boot": "<os><loader readonly='yes' type='pflash'>/fw.fd</loader><kernel>/vmlinuz</kernel>"
    "<initrd>/initrd</initrd><cmdline>/x</cmdline></os>",
    "kernel": "<os><cmdline>root=/dev/vda1 ip=dhcp ip=eth0:dhcp network-config=disabled"
    " systemd.set_credential=ssh.listen:a quiet</cmdline></os>",
    "rom": "<os><loader type='rom'>/bios.bin</loader></os>",
    "sysinfo": "<sysinfo type='fwcfg'><entry name='opt/a' file='/srv/a.ign'/></sysinfo>",
    "partition": "<resource><partition>/machine</partition></resource>",
    "sev": "<launchSecurity type='sev'><cbitpos>47</cbitpos><policy>1</policy></launchSecurity>",
    "serial": _argument("-smbios", "type=1,serial=ds=nocloud", "-no-hpet", "-rtc", "base=utc"),
    "environment": "<qemu:commandline><qemu:env name='DISPLAY' value=':0'/></qemu:commandline>",
    "override": "<qemu:override><qemu:device alias='v'><qemu:frontend>"
    "<qemu:property name='x-speed' type='string' value='16'/></qemu:frontend></qemu:device>"
    "</qemu:override>",
    "test": "<t:runstate xmlns:t='http://libvirt.org/schemas/domain/test/1.0'>5</t:runstate>",
}


def clone_of(xml: str) -> str:
    """Return the name of what a clone of that image is."""
    check(xml)
    return describe(clone(xml, plan(xml))).name


@pytest.mark.parametrize("case", DEVICES)
def test_devices_that_cannot_be_cloned(case: str) -> None:
    devices, why = DEVICES[case]
    with pytest.raises(ImageUnsupported, match=why) as caught:
        clone(domain(devices), PLAN)
    assert str(caught.value).startswith("the image ")


@pytest.mark.parametrize("case", OUTSIDE)
def test_settings_that_cannot_be_cloned(case: str) -> None:
    outside, why = OUTSIDE[case]
    with pytest.raises(ImageUnsupported, match=why):
        check(domain(outside=outside))


@pytest.mark.parametrize("kind", ["lxc", "xen", "openvz", ""])
def test_other_kinds_of_domains(kind: str) -> None:
    with pytest.raises(ImageUnsupported, match=f"domain of type '{kind}'"):
        check(domain(kind=kind))


@pytest.mark.parametrize("case", FINE)
def test_what_can_be_cloned(case: str) -> None:
    assert clone_of(domain(FINE[case])) == PLAN.name


@pytest.mark.parametrize("case", FINE_OUTSIDE)
def test_settings_that_can_be_cloned(case: str) -> None:
    assert clone_of(domain(outside=FINE_OUTSIDE[case])) == PLAN.name


def test_harmless_options_of_qemu() -> None:
    options = _argument("-cpu", "host,-vmx", "-fw_cfg", "name=opt/a,string=-drive")
    assert clone_of(domain(outside=options)) == PLAN.name


@pytest.mark.parametrize("image", IMAGES)
def test_the_corpus_can_be_cloned(image: str) -> None:
    assert clone_of(definition(image)) == PLAN.name


def test_interfaces_do_not_matter_when_others_are_asked_for() -> None:
    xml = domain("<interface type='vhostuser'><mac address='52:54:00:00:00:01'/></interface>")
    check(xml, own_networks=True)
    assert "vhostuser" not in clone(xml, plan(xml, interfaces=(Nic(network="default"),)))
    with pytest.raises(ImageUnsupported):
        clone(xml, plan(xml, interfaces=(Nic(addresses=("192.0.2.7/24",)),)))


def test_every_reason_is_given() -> None:
    xml = domain("<hostdev type='pci'/><smartcard mode='host'/>")
    with pytest.raises(ImageUnsupported, match=r"pci device.*; it has a smartcard"):
        check(xml)
