# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives a clone files and sockets of its own where devices of its image name the image's."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ..model.errors import ImageUnsupported

# sockaddr_un.sun_path has 108 bytes, the last a NUL: unix(7).
_SOCKET_PATH_MAX = 107


def rewrite(root: ET.Element, old: str, new: str) -> None:
    """Let ``new``, the clone's name, stand in each path for ``old``, the image's.

    Raises ImageUnsupported for a socket whose path is too long then.
    """
    _character_devices(root, old, new)
    _state_paths(root, old, new)


def _character_devices(root: ET.Element, old: str, new: str) -> None:
    for tag in ("serial", "parallel", "console", "channel", "redirdev", "smartcard"):
        for element in root.iterfind(f"devices/{tag}"):
            _character_device(element, element, old, new)
    for element in root.iterfind("devices/rng/backend"):
        _character_device(element, element, old, new)


def _character_device(element: ET.Element, backend: ET.Element, old: str, new: str) -> None:
    kind = backend.get("type")
    element.attrib.pop("tty", None)
    target = element.find("target")
    for source in backend.findall("source"):
        path = source.get("path")
        if kind == "pty":
            backend.remove(source)
        elif path and kind == "unix" and source.get("mode") != "connect":
            name = None if target is None else target.get("name")
            if element.tag == "channel" and name and name in path:
                # libvirt makes a path of its own for a channel that has none.
                backend.remove(source)
            else:
                source.set("path", _socket(path, old, new))
        elif path and kind == "file":
            source.set("path", own_path(path, old, new))
    for log in element.iterfind("log"):
        if log.get("file"):
            log.set("file", own_path(log.get("file", ""), old, new))


def _state_paths(root: ET.Element, old: str, new: str) -> None:
    """Files that a device writes its state or output to."""
    for source in root.iterfind("devices/tpm/backend/source"):
        if source.get("path"):
            source.set("path", own_path(source.get("path", ""), old, new))
    for audio in root.iterfind("devices/audio"):
        if audio.get("path"):
            audio.set("path", own_path(audio.get("path", ""), old, new))
    for path in root.iterfind("devices/pstore/path"):
        path.text = own_path((path.text or "").strip(), old, new)
    for passt in root.iterfind("devices/interface/backend"):
        if passt.get("logFile"):
            passt.set("logFile", own_path(passt.get("logFile", ""), old, new))
        # The image's host name, which passt would give to the clone by DHCP.
        for name in ("hostname", "fqdn"):
            passt.attrib.pop(name, None)


def own_path(path: str, old: str, new: str) -> str:
    """Return the clone's counterpart of the image's file ``path``, in the same folder.

    The image's name in it becomes the clone's; if it is not in it, the clone's name is added.
    """
    if path == "/dev/null":
        return path
    folder, slash, base = path.rpartition("/")
    if old in base:
        return f"{folder}{slash}{base.replace(old, new)}"
    stem, dot, suffix = base.rpartition(".")
    return f"{folder}{slash}{stem}-{new}{dot}{suffix}" if stem else f"{path}-{new}"


def _socket(path: str, old: str, new: str) -> str:
    result = own_path(path, old, new)
    if len(result.encode()) > _SOCKET_PATH_MAX:
        raise ImageUnsupported(
            f"the clone's socket path {result} is longer than {_SOCKET_PATH_MAX} bytes"
        )
    return result
