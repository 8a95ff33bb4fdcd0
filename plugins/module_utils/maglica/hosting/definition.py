# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the definitions of pools and networks have in common: names, the mark of Maglica, texts."""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping

from ..model.errors import ConfigInvalid

# A name becomes that of a file (/etc/libvirt/storage/NAME.xml).
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_NAMESPACE = uuid.UUID("5e6dd1b4-60a3-4b8c-8d58-2c9a9f5f6f0d")


def check_name(name: str, noun: str) -> None:
    """Raise ConfigInvalid if a pool or network can't be named so."""
    if not _NAME.fullmatch(name):
        raise ConfigInvalid(
            f"name: {name[:100]!r} can't be the name of a {noun}: it takes letters, digits and"
            " _ . + -, and begins with a letter, a digit or _"
        )


def own_uuid(noun: str, *told: str) -> str:
    """Return the UUID of a pool or network that Maglica makes, by which it is known again.

    It follows from what is ``told`` of it, so that one which somebody has changed in that is
    somebody else's.
    """
    return str(uuid.uuid5(_NAMESPACE, "\n".join((noun, *told))))


def written(root: ET.Element) -> str:
    """Return an element as a text of several lines."""
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def differences(
    wanted: Mapping[str, object | None], there: Mapping[str, object | None]
) -> Iterator[str]:
    """Yield in words what differs of two definitions; what is None of the wanted is not wanted."""
    for option, value in wanted.items():
        if value is not None and value != there[option]:
            yield f"{option} is {_shown(there[option])}, not {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)
