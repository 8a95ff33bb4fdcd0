# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition tells a guest's cloud-init, which comes before what a seed says. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

# On the kernel's command line, or as the system's serial number; also by an argument for QEMU.
_TOLD = re.compile(r"(?:^|[\s=,])(ds=nocloud(?:-net)?;\S*)")


def told(root: ET.Element) -> str | None:
    """Return the first word that tells NoCloud a name, an instance or a place; None without."""
    return next((match[1] for match in map(_TOLD.search, _texts(root)) if match), None)


def _texts(root: ET.Element) -> Iterator[str]:
    yield root.findtext("os/cmdline", "")
    for entry in root.iterfind("sysinfo//entry"):
        yield entry.text or ""
    for element in root.iter():
        if element.tag.rpartition("}")[2].rpartition(":")[2] == "arg":
            yield element.get("value", "")
