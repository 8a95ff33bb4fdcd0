# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's UEFI variables, which are a file of their own: where it is, and a copy of it."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import stat
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from .._deps import need
from ..domain import definition
from ..libvirtd import local
from ..model.errors import ImageUnsupported, NoRoom, StorageFailed
from . import chain

# QEMU's second flash device; the first one is the firmware, which is only read.
_NODE = "libvirt-pflash1-storage"
# As domain.clone names them.
_OF_VM = re.compile(r".+\.([0-9a-f]{8})_VARS\.(?:fd|qcow2)")


def hidden_path(xml: str, connection: Any) -> str | None:
    """Return where libvirt has the UEFI variables of a domain whose definition doesn't say so.

    None if it has none there, or if its definition says where. Raises ImageUnsupported when that
    can't be found out.
    """
    root = definition.parse(xml)
    if not definition.hides_nvram(root):
        return None
    # The folder is another for each user, and set when libvirt is built; libvirt itself knows it
    # when it says how it would run QEMU. Devices don't matter for that and might be missing.
    for devices in root.iterfind("devices"):
        for element in list(devices):
            if element.tag != "emulator":
                devices.remove(element)
    libvirt = need("libvirt")
    try:
        command = connection.domainXMLToNative("qemu-argv", ET.tostring(root, encoding="unicode"))
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, ImageUnsupported)
        raise failure(f"libvirt doesn't say where its UEFI variables are: {error}") from error
    return _path(command)


def _path(command: str) -> str | None:
    arguments = shlex.split(command.replace("\\\n", " "))
    for argument in arguments:
        if _NODE not in argument or not argument.startswith("{"):
            continue
        node = json.loads(argument)
        if node.get("node-name") == _NODE and node.get("driver") == "file":
            return str(node["filename"])
    if any("pflash1" in argument or "if=pflash" in argument for argument in arguments):
        raise ImageUnsupported("its UEFI variables are not in a file that libvirt tells")
    return None


def is_of_vm(name: str, uuid: str) -> bool:
    """Tell whether a file's name is the one that the variables of the vm ``uuid`` have."""
    match = _OF_VM.fullmatch(name)
    return match is not None and match[1] == uuid[:8]


def looks_own(name: str) -> bool:
    """Tell whether a file's name is such as the variables of vms have."""
    return _OF_VM.fullmatch(name) is not None


def copy(source: str, target: str) -> None:
    """Copy an image's UEFI variables to its clone's own file, which must not be there yet.

    Raises NoRoom, StorageFailed or ImageUnsupported.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as old:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageUnsupported(f"its UEFI variables {source} are no file")
            if chain.backing_of(source) is not None:
                raise ImageUnsupported(f"its UEFI variables {source} build upon another file")
            with Path(target).open("xb") as new:
                os.fchmod(new.fileno(), 0o600)
                shutil.copyfileobj(old, new)
                os.fsync(new.fileno())
    except OSError as error:
        failure = NoRoom if error.errno == errno.ENOSPC else StorageFailed
        raise failure(f"its UEFI variables {source} can't be copied: {error.strerror}") from error
