# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virDomain of fake_libvirt.py does with its devices and sizes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

_LIVE = 1


class Starting:
    """What a virConnect of fake_libvirt.py does with a domain that is defined and off."""

    lookupByUUIDString: Any  # noqa: N815
    called: Any

    def createXML(self, xml: str, flags: int) -> None:  # noqa: N802
        """Start it as ``xml`` says, and leave its definition as it is."""
        self.called("createXML")
        domain = self.lookupByUUIDString(ET.fromstring(xml).findtext("uuid"))
        defined, domain.xml = domain.xml, xml
        try:
            domain.create()
            domain.live = xml
        finally:
            domain.xml = defined


class Hardware:
    """``xml`` is how it is defined, ``live`` how it runs, if that is another; ``obeys``: its guest
    does what it is told. ``sizes``: what one that runs sees of its disks, in bytes.
    """

    xml: str
    live: str | None
    active: bool
    obeys: bool
    sizes: dict[str, int]
    _connection: Any

    def _edit(self, flags: int, change) -> None:
        """Change the definition that it has, or the one that it runs with."""
        if flags & _LIVE:
            root = ET.fromstring(self.live or self.xml)
            change(root)
            self.live = ET.tostring(root, encoding="unicode")
        else:
            if self.active:
                self.live = self.live or self.xml
            root = ET.fromstring(self.xml)
            change(root)
            self.xml = ET.tostring(root, encoding="unicode")

    def attachDeviceFlags(self, xml: str, flags: int) -> None:  # noqa: N802
        self._connection.called(f"attach {flags}")
        self._edit(flags, lambda root: root.find("devices").append(ET.fromstring(xml)))

    def detachDeviceFlags(self, xml: str, flags: int) -> None:  # noqa: N802
        self._connection.called(f"detach {flags}")
        device = ET.fromstring(xml)
        source = device.find("source").attrib

        def change(root: ET.Element) -> None:
            devices = root.find("devices")
            for interface in devices.findall("interface"):
                if device.tag == "interface" and _mac(interface) == _mac(device):
                    devices.remove(interface)
            for disk in devices.findall("disk"):
                if disk.find("source") is not None and disk.find("source").attrib == source:
                    devices.remove(disk)

        if self.obeys or not flags & _LIVE:
            self._edit(flags, change)

    def updateDeviceFlags(self, xml: str, flags: int) -> None:  # noqa: N802
        self._connection.called(f"update {flags}")
        new = ET.fromstring(xml)

        def change(root: ET.Element) -> None:
            devices = root.find("devices")
            if new.tag == "interface":
                (old,) = [each for each in devices if _mac(each) == _mac(new)]
                devices[list(devices).index(old)] = new
                return
            target = new.find("target").get("dev")
            for place, disk in enumerate(list(devices)):
                if disk.tag == "disk" and disk.find("target").get("dev") == target:
                    devices[place] = new

        self._edit(flags, change)

    def blockInfo(self, target: str) -> list[int]:  # noqa: N802
        return [self.sizes[target], 0, 0]

    def blockResize(self, target: str, size: int, flags: int) -> None:  # noqa: N802
        self._connection.called("blockResize")
        self.sizes[target] = size

    def setVcpusFlags(self, count: int, flags: int) -> None:  # noqa: N802
        self._connection.called("setVcpusFlags")
        self._set_live("vcpu", lambda each: each.set("current", str(count)))

    def setMemoryFlags(self, kib: int, flags: int) -> None:  # noqa: N802
        """Have a guest whose balloon driver listens that memory at once."""
        self._connection.called("setMemoryFlags")
        if self.obeys:
            self._set_live("currentMemory", lambda each: _state(each, kib))

    def _set_live(self, tag: str, change) -> None:
        root = ET.fromstring(self.live or self.xml)
        change(root.find(tag))
        self.live = ET.tostring(root, encoding="unicode")


def _mac(device: ET.Element) -> str | None:
    mac = device.find("mac")
    return None if mac is None else mac.get("address")


def _state(memory: ET.Element, kib: int) -> None:
    memory.set("unit", "KiB")
    memory.text = str(kib)
