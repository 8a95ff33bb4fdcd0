# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of libvirt's Python binding that clones use, in memory; volumes are small real files.

``failures`` maps a method's name to the errors that its next calls raise. ``nvram`` is the folder
of UEFI variables.
"""

from __future__ import annotations

import json
import shlex
import threading
import uuid as uuids
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from .fake_hardware import Hardware, Starting
from .fake_storage import (
    VIR_ERR_NO_STORAGE_POOL,
    VIR_ERR_NO_STORAGE_VOL,
    VIR_ERR_OPERATION_FAILED,
    VIR_ERR_STORAGE_VOL_EXIST,
    Pool,
    Volume,
    libvirtError,
)

# What the binding has of pools, too.
__all__ = [
    "VIR_ERR_NO_STORAGE_POOL",
    "VIR_ERR_NO_STORAGE_VOL",
    "VIR_ERR_OPERATION_FAILED",
    "VIR_ERR_STORAGE_VOL_EXIST",
    "Volume",
    "libvirtError",
]

VIR_FROM_RPC = 7
VIR_ERR_NO_SUPPORT = 3
VIR_ERR_NO_DOMAIN = 42
VIR_ERR_NO_DOMAIN_METADATA = 80
VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE = 1
VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE = 2
VIR_CONNECT_LIST_STORAGE_POOLS_DIR = 64
VIR_CONNECT_LIST_STORAGE_POOLS_FS = 128
VIR_CONNECT_LIST_STORAGE_POOLS_NETFS = 256
VIR_DOMAIN_XML_SECURE = 1
VIR_DOMAIN_XML_INACTIVE = 2
VIR_DOMAIN_AFFECT_LIVE = 1
VIR_DOMAIN_AFFECT_CONFIG = 2
VIR_DOMAIN_BLOCK_RESIZE_BYTES = 1
VIR_DOMAIN_DEVICE_MODIFY_FORCE = 4
VIR_DOMAIN_DEFINE_VALIDATE = 1
VIR_DOMAIN_METADATA_DESCRIPTION = 0
VIR_DOMAIN_METADATA_ELEMENT = 2
VIR_DOMAIN_START_PAUSED = 1
VIR_DOMAIN_SHUTDOWN = 4
VIR_DOMAIN_PMSUSPENDED = 7
VIR_DOMAIN_UNDEFINE_MANAGED_SAVE = 1
VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA = 2
VIR_DOMAIN_UNDEFINE_NVRAM = 4
VIR_DOMAIN_UNDEFINE_KEEP_NVRAM = 8
VIR_DOMAIN_UNDEFINE_TPM = 32
VIR_DOMAIN_RUNNING = 1
VIR_DOMAIN_PAUSED = 3
VIR_DOMAIN_CRASHED = 6
RUNNING, PAUSED, SHUTTING_DOWN, SHUTOFF, CRASHED, SUSPENDED = 1, 3, 4, 5, 6, 7


class Network:
    """A network (virNetwork)."""

    def __init__(self, xml: str = "<network/>", active: bool = True) -> None:
        self.xml = xml
        self.active = active

    def isActive(self) -> bool:  # noqa: N802
        return self.active

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return self.xml


class Connection(Starting):
    """A libvirtd (virConnect) with its domains and pools."""

    def __init__(self) -> None:
        self.domains: list[Domain] = []
        self.pools: list[Pool] = []
        self.failures: dict[str, list[libvirtError]] = {}
        self.calls: list[str] = []
        self.unstartable = "\0"  # what no domain starts with that has it in its definition
        self.nvram: Path | None = None
        self.version = 9000000
        self.networks = {"default": Network(), "lan": Network(), "off": Network(active=False)}
        self.networks["switch"] = Network("<network><virtualport type='openvswitch'/></network>")
        self.filters = {"clean-traffic": "clean-traffic"}
        # For what looks before it changes something: vms are made by several threads.
        self._lock = threading.Lock()

    def called(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)
            errors = self.failures.get(name)
            if errors:
                raise errors.pop(0)

    def getLibVersion(self) -> int:  # noqa: N802
        return self.version

    def networkLookupByName(self, name: str) -> Network:  # noqa: N802
        return self._known(self.networks, name)

    def nwfilterLookupByName(self, name: str) -> str:  # noqa: N802
        return self._known(self.filters, name)

    def _known(self, known: dict[str, Any], name: str) -> Any:
        if name not in known:
            raise libvirtError(f"no such thing as {name}")
        return known[name]

    def add_pool(self, name: str, path: Path) -> Pool:
        path.mkdir(exist_ok=True)
        self.pools.append(Pool(self, name, path))
        return self.pools[-1]

    def lookupByName(self, name: str) -> Domain:  # noqa: N802
        self.called("lookupByName")
        return self._domain(lambda domain: domain.name() == name)

    def lookupByUUIDString(self, uuid: str) -> Domain:  # noqa: N802
        self.called("lookupByUUIDString")
        return self._domain(lambda domain: domain.UUIDString() == uuid)

    def _domain(self, matches) -> Domain:
        for domain in self.domains:
            if matches(domain):
                return domain
        raise libvirtError("Domain not found", VIR_ERR_NO_DOMAIN)

    def listAllDomains(self, flags: int = 0) -> list[Domain]:  # noqa: N802
        return list(self.domains)

    def defineXML(self, xml: str) -> Domain:  # noqa: N802
        self.called("defineXML")
        domain = Domain(self, xml)
        with self._lock:
            for other in self.domains:
                if (other.name(), other.UUIDString()) == (domain.name(), domain.UUIDString()):
                    if other.active:
                        other.live = other.live or other.xml
                    other.xml, other.persistent = domain.xml, True
                    return other
                if other.name() == domain.name() or other.UUIDString() == domain.UUIDString():
                    raise libvirtError(f"domain '{other.name()}' is already defined")
            self.domains.append(domain)
        return domain

    def defineXMLFlags(self, xml: str, flags: int) -> Domain:  # noqa: N802
        return self.defineXML(xml)

    def domainXMLToNative(self, kind: str, xml: str, flags: int = 0) -> str:  # noqa: N802
        """Say how QEMU would be run, as far as UEFI variables are concerned."""
        self.called("domainXMLToNative")
        root = ET.fromstring(xml)
        if self.nvram is None or root.find("os[@firmware='efi']") is None:
            return "/usr/bin/qemu-system-x86_64 \\\n-nodefaults"
        name = f"{self.nvram}/{root.findtext('name')}_VARS.fd"
        nodes = (
            {"driver": "file", "filename": "/fw.fd", "node-name": "libvirt-pflash0-storage"},
            {"driver": "file", "filename": name, "node-name": "libvirt-pflash1-storage"},
            {"node-name": "libvirt-pflash1-format", "file": "libvirt-pflash1-storage"},
        )
        options = [f"-blockdev {shlex.quote(json.dumps(node))}" for node in nodes]
        return " \\\n".join(["LC_ALL=C", "/usr/bin/qemu-system-x86_64", *options])

    def listAllStoragePools(self, flags: int = 0) -> list[Pool]:  # noqa: N802
        self.called("listAllStoragePools")
        wanted = {0: (True, False), 1: (False,), 2: (True,)}[flags]
        return [pool for pool in self.pools if pool.active in wanted]

    def storagePoolLookupByName(self, name: str) -> Pool:  # noqa: N802
        for pool in self.pools:
            if pool.name() == name:
                return pool
        raise libvirtError(f"no storage pool '{name}'", VIR_ERR_NO_STORAGE_POOL)


class Domain(Hardware):
    """A persistent domain (virDomain)."""

    def __init__(self, connection: Connection, xml: str) -> None:
        self._connection = connection
        root = ET.fromstring(xml)
        if root.find("uuid") is None:
            ET.SubElement(root, "uuid").text = str(uuids.uuid4())
            xml = ET.tostring(root, encoding="unicode")
        self.xml = xml
        self._name = root.findtext("name") or ""
        self._uuid = root.findtext("uuid") or ""
        self.active = False
        self.persistent = True
        # What it runs with, where that is not what it is defined as.
        self.live: str | None = None
        self.obeys = True
        # What a guest that runs sees of its disks, in bytes.
        self.sizes: dict[str, int] = {}
        self.runs, self.saved = 0, False
        # What its guest does while it is active.
        self.guest = RUNNING
        self.deaf = False
        self.starts_by_itself = False
        self.undefined_with = 0
        self.snapshots: list[object] = []

    def name(self) -> str:
        return self._name

    def UUIDString(self) -> str:  # noqa: N802
        return self._uuid

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        is_asked_later = flags & VIR_DOMAIN_XML_INACTIVE and self.persistent
        if self.active and self.live is not None and not is_asked_later:
            return self.live
        return self.xml

    def isActive(self) -> bool:  # noqa: N802
        return self.active

    def isPersistent(self) -> bool:  # noqa: N802
        if self not in self._connection.domains:
            raise libvirtError("Domain not found", VIR_ERR_NO_DOMAIN)
        return self.persistent

    def hasManagedSaveImage(self) -> bool:  # noqa: N802
        return self.saved

    def managedSaveGetXMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return self.xml

    def state(self) -> list[int]:
        return [self.guest if self.active else SHUTOFF, 0]

    def create(self) -> None:
        self._connection.called("create")
        self._starts(RUNNING)

    def createWithFlags(self, flags: int) -> None:  # noqa: N802
        self._connection.called("createWithFlags")
        self._starts(PAUSED if flags & VIR_DOMAIN_START_PAUSED else RUNNING)

    def _starts(self, guest: int) -> None:
        if self.active:
            raise libvirtError("domain is already running")
        if self not in self._connection.domains:
            raise libvirtError("Domain not found", VIR_ERR_NO_DOMAIN)
        if self._connection.unstartable in self.xml:
            raise libvirtError(f"QEMU knows no {self._connection.unstartable}")
        self.active, self.live, self.guest = True, None, guest
        self.runs += 1

    def ID(self) -> int:  # noqa: N802
        return self.runs if self.active else -1

    def resume(self) -> None:
        self._goes("resume", PAUSED, RUNNING)

    def suspend(self) -> None:
        self._goes("suspend", RUNNING, PAUSED)

    def pMWakeup(self) -> None:  # noqa: N802
        self._goes("pMWakeup", SUSPENDED, RUNNING)

    def _goes(self, name: str, before: int, after: int) -> None:
        self._connection.called(name)
        if not self.active or self.guest != before:
            raise libvirtError(f"{name}: domain is in state {self.state()[0]}")
        self.guest = after

    def shutdown(self) -> None:
        """Press the button: a guest that runs and is not deaf goes off."""
        self._connection.called("shutdown")
        if self.guest == RUNNING and not self.deaf:
            self.active = False

    def autostart(self) -> int:
        return int(self.starts_by_itself)

    def setAutostart(self, autostart: int) -> None:  # noqa: N802
        self._connection.called("setAutostart")
        if not self.persistent:
            raise libvirtError("cannot set autostart for transient domain")
        self.starts_by_itself = bool(autostart)

    def destroy(self) -> None:
        self._connection.called("destroy")
        self.active = False
        if not self.persistent:
            self._connection.domains.remove(self)

    def metadata(self, kind: int, uri: str, flags: int = 0) -> str:
        xml = self.xml if flags & VIR_DOMAIN_AFFECT_CONFIG else self.XMLDesc()
        told = ET.fromstring(xml).iterfind("metadata/*")
        element = next((each for each in told if each.tag.startswith(f"{{{uri}}}")), None)
        if element is None:
            raise libvirtError("metadata not found", VIR_ERR_NO_DOMAIN_METADATA)
        for each in element.iter():
            each.tag = each.tag.partition("}")[2]
        return ET.tostring(element, encoding="unicode")

    def setMetadata(  # noqa: N802
        self, kind: int, text: str | None, key: str | None, uri: str | None, flags: int
    ) -> None:
        self._connection.called("setMetadata")

        def change(root: ET.Element) -> None:
            where, tag = root, "description"
            if kind == VIR_DOMAIN_METADATA_ELEMENT:
                where = root.find("metadata")
                if where is None:
                    where = ET.SubElement(root, "metadata")
                tag = next((each.tag for each in where if each.tag.startswith(f"{{{uri}}}")), "-")
            for old in where.findall(tag):
                where.remove(old)
            if text and where is root:
                ET.SubElement(root, tag).text = text
            elif text:
                element = ET.fromstring(text)
                for each in element.iter():
                    each.tag = f"{{{uri}}}{each.tag}"
                where.append(element)

        for each in (VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE):
            if flags & each:
                self._edit(each, change)

    def listAllSnapshots(self, flags: int = 0) -> list[object]:  # noqa: N802
        return self.snapshots

    def listAllCheckpoints(self) -> list[object]:  # noqa: N802
        return []

    def undefineFlags(self, flags: int) -> None:  # noqa: N802
        self._connection.called("undefineFlags")
        self.undefined_with = flags
        self._connection.domains.remove(self)
