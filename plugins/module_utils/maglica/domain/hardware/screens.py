# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the screen and the serial console of a running domain are, by its live definition; never
by which password.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ...model.vm import Graphics, SerialConsole


def graphics(root: ET.Element) -> tuple[Graphics, ...]:
    return tuple(map(_graphics, root.iterfind("devices/graphics")))


def console(root: ET.Element) -> SerialConsole | None:
    """Return the first one, which is what libvirt opens where none is named."""
    found = root.find("devices/console")
    if found is None:
        return None
    source = found.find("source")
    path = None if source is None else source.get("path")
    return SerialConsole(found.get("type", ""), path)


def _graphics(element: ET.Element) -> Graphics:
    # libvirt repeats the first listener in attributes, but for a network's address.
    listens = element.find("listen")
    said = {**({} if listens is None else listens.attrib), **element.attrib}
    return Graphics(
        type=element.get("type", ""),
        listen=said.get("listen") or said.get("address"),
        port=_port(said.get("port", "")),
        tls_port=_port(said.get("tlsPort", "")),
        socket=said.get("socket"),
    )


def _port(text: str) -> int | None:
    """Return a port; None for what is none, as -1: libvirt is to choose one."""
    is_short = text.isascii() and text.isdigit() and len(text) < 6
    return int(text) if is_short and 0 < int(text) < 1 << 16 else None
