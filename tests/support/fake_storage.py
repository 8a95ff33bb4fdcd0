# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage pools and volumes of fake_libvirt.py, and its error."""

from __future__ import annotations

import os
import re
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from .qcow2 import BACKING_FORMAT, header

VIR_ERR_NO_STORAGE_POOL = 49
VIR_ERR_NO_STORAGE_VOL = 50
VIR_ERR_STORAGE_VOL_EXIST = 90
VIR_ERR_OPERATION_FAILED = 9


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


class Pool:
    """A storage pool of type dir (virStoragePool); it knows only the files that it has seen."""

    def __init__(self, connection: Any, name: str, path: Path) -> None:
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
