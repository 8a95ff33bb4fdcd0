# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of libvirt's Python binding that clones use, in memory; volumes are small real files.

``failures`` maps a method's name to the errors that its next calls raise. ``nvram`` is the folder
of UEFI variables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import threading
import uuid as uuids
import xml.etree.ElementTree as ET
from pathlib import Path

from .qcow2 import BACKING_FORMAT, header

VIR_FROM_RPC = 7
VIR_ERR_NO_SUPPORT = 3
VIR_ERR_NO_DOMAIN = 42
VIR_ERR_NO_STORAGE_POOL = 49
VIR_ERR_NO_STORAGE_VOL = 50
VIR_ERR_STORAGE_VOL_EXIST = 90
VIR_ERR_OPERATION_FAILED = 9
VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE = 2
VIR_CONNECT_LIST_STORAGE_POOLS_DIR = 64
VIR_CONNECT_LIST_STORAGE_POOLS_FS = 128
VIR_CONNECT_LIST_STORAGE_POOLS_NETFS = 256
VIR_DOMAIN_XML_SECURE = 1
VIR_DOMAIN_XML_INACTIVE = 2
VIR_DOMAIN_AFFECT_LIVE = 1
VIR_DOMAIN_AFFECT_CONFIG = 2
VIR_DOMAIN_DEFINE_VALIDATE = 1
VIR_DOMAIN_METADATA_ELEMENT = 2
VIR_DOMAIN_UNDEFINE_MANAGED_SAVE = 1
VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA = 2
VIR_DOMAIN_UNDEFINE_NVRAM = 4
VIR_DOMAIN_UNDEFINE_KEEP_NVRAM = 8
VIR_DOMAIN_UNDEFINE_TPM = 32
VIR_DOMAIN_RUNNING = 1
VIR_DOMAIN_PAUSED = 3
VIR_DOMAIN_SHUTDOWN = 4
VIR_DOMAIN_CRASHED = 6
VIR_DOMAIN_PMSUSPENDED = 7
RUNNING, SHUTOFF = 1, 5


class libvirtError(Exception):  # noqa: N801 - the binding's name
    """What the binding raises."""

    def __init__(self, text: str, code: int = VIR_ERR_OPERATION_FAILED, domain: int = 0) -> None:
        super().__init__(text)
        self._code = code
        self._domain = domain

    def get_error_domain(self) -> int:
        return self._domain

    def get_error_code(self) -> int:
        return self._code


class Connection:
    """A libvirtd (virConnect) with its domains and pools."""

    def __init__(self) -> None:
        self.domains: list[Domain] = []
        self.pools: list[Pool] = []
        self.failures: dict[str, list[libvirtError]] = {}
        self.calls: list[str] = []
        self.nvram: Path | None = None
        # For what looks before it changes something: vms are made by several threads.
        self._lock = threading.Lock()

    def called(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)
            errors = self.failures.get(name)
            if errors:
                raise errors.pop(0)

    def getLibVersion(self) -> int:  # noqa: N802
        return 9000000

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
        return [pool for pool in self.pools if pool.active or not flags]

    def storagePoolLookupByName(self, name: str) -> Pool:  # noqa: N802
        for pool in self.pools:
            if pool.name() == name:
                return pool
        raise libvirtError(f"no storage pool '{name}'", VIR_ERR_NO_STORAGE_POOL)


class Domain:
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
        self.runs = 0
        self.saved = False
        self.undefined_with = 0
        self.snapshots: list[object] = []

    def name(self) -> str:
        return self._name

    def UUIDString(self) -> str:  # noqa: N802
        return self._uuid

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        if self.active and self.live is not None and not flags & VIR_DOMAIN_XML_INACTIVE:
            return self.live
        return self.xml

    def isActive(self) -> bool:  # noqa: N802
        return self.active

    def ID(self) -> int:  # noqa: N802
        return self.runs if self.active else -1

    def shutdown(self) -> None:
        self._connection.called("shutdown")
        self.active = False

    def isPersistent(self) -> bool:  # noqa: N802
        if self not in self._connection.domains:
            raise libvirtError("Domain not found", VIR_ERR_NO_DOMAIN)
        return self.persistent

    def hasManagedSaveImage(self) -> bool:  # noqa: N802
        return self.saved

    def managedSaveGetXMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return self.xml

    def state(self) -> list[int]:
        return [RUNNING if self.active else SHUTOFF, 0]

    def create(self) -> None:
        self._connection.called("create")
        self.active, self.live = True, None
        self.runs += 1

    def destroy(self) -> None:
        self._connection.called("destroy")
        self.active = False
        if not self.persistent:
            self._connection.domains.remove(self)

    def setMetadata(self, kind: int, text: str, key: str, uri: str, flags: int) -> None:  # noqa: N802
        root, element = ET.fromstring(self.xml), ET.fromstring(text)
        for each in element.iter():
            each.tag = f"{{{uri}}}{each.tag}"
        (where,) = root.iterfind("metadata")
        for old in where.findall(element.tag):
            where.remove(old)
        where.append(element)
        self.xml = ET.tostring(root, encoding="unicode")

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

    def listAllSnapshots(self, flags: int = 0) -> list[object]:  # noqa: N802
        return self.snapshots

    def listAllCheckpoints(self) -> list[object]:  # noqa: N802
        return []

    def undefineFlags(self, flags: int) -> None:  # noqa: N802
        self._connection.called("undefineFlags")
        self.undefined_with = flags
        self._connection.domains.remove(self)


def _state(memory: ET.Element, kib: int) -> None:
    memory.set("unit", "KiB")
    memory.text = str(kib)


class Pool:
    """A storage pool of type dir (virStoragePool); it knows only the files that it has seen."""

    def __init__(self, connection: Connection, name: str, path: Path) -> None:
        self.connection = connection
        self._name = name
        self.path = path
        self.active = True
        self.seen: set[str] = set()
        # As in libvirtd, one thread at a time lists the folder or makes a volume in it.
        self._lock = threading.Lock()

    def name(self) -> str:
        return self._name

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return f"<pool type='dir'><target><path>{self.path}</path></target></pool>"

    def refresh(self) -> None:
        with self._lock:
            self.seen = {path.name for path in self.path.iterdir()}

    def listVolumes(self) -> list[str]:  # noqa: N802
        # As the binding, which returns texts only.
        return sorted(os.fsencode(name).decode() for name in self.seen)

    def storageVolLookupByName(self, name: str) -> Volume:  # noqa: N802
        if not self.active:
            raise libvirtError(f"storage pool '{self._name}' is not active")
        if name not in self.seen:
            raise libvirtError(
                f"no storage vol with matching name '{name}'", VIR_ERR_NO_STORAGE_VOL
            )
        return Volume(self, name)

    def createXML(self, xml: str) -> Volume:  # noqa: N802
        self.connection.called("createXML")
        root = ET.fromstring(xml)
        name = root.findtext("name") or ""
        if not re.fullmatch(r"[^/]+", name):
            raise libvirtError("volume name can't contain '/'")
        if name in self.seen or (self.path / name).exists():
            raise libvirtError(f"storage volume '{name}' exists", VIR_ERR_STORAGE_VOL_EXIST)
        backing = root.findtext("backingStore/path")
        kind = root.find("backingStore/format")
        extensions = [] if kind is None else [(BACKING_FORMAT, (kind.get("type") or "").encode())]
        size = int(root.findtext("capacity") or 0)
        data = header(size, backing=backing.encode() if backing else None, extensions=extensions)
        form = root.find("target/format")
        if form is not None and form.get("type") == "raw":
            data = bytes(size)
        with self._lock:
            (self.path / name).write_bytes(data)
            (self.path / name).chmod(0o600)
            self.seen.add(name)
        return Volume(self, name)


class Volume:
    """A file in a pool (virStorageVol)."""

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool = pool
        self._name = name

    def path(self) -> str:
        return str(self._pool.path / self._name)

    def delete(self) -> None:
        self._pool.connection.called("delete")
        self._pool.seen.discard(self._name)
        (self._pool.path / self._name).unlink(missing_ok=True)
