# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is recorded of an original image, as all show it. Listing needs it."""

from __future__ import annotations

import enum
import hashlib
import uuid
from dataclasses import dataclass

from .moment import Moment

# Domain UUIDs of images derive from request ids in this name space.
_IMAGE_NAMESPACE = uuid.UUID("5b1c9a7e-61d3-4f0f-9c55-0a4d3c3e8b92")
# Of a UUID that derives from a name by SHA-256: RFC 9562, section 5.8 and appendix B.2. Those of
# vms are of version 5, so that one can be told from the other before a definition is read.
_UUID_VERSION = 8


class Firmware(str, enum.Enum):
    """What starts a guest's boot loader."""

    BIOS = "bios"
    UEFI = "uefi"


@dataclass(frozen=True)
class ImageVersion:
    """What a version of an image was made from; None is what is not known.

    ``checksum`` is ALGORITHM:HEX of the file as it came, ``origin`` where it came from, a URL
    without credentials or a path. ``format`` and ``size_bytes`` are those of its disk.
    ``request`` brought it, at ``created``; it is empty where somebody recorded this by hand.
    """

    checksum: str | None = None
    origin: str | None = None
    format: str | None = None
    size_bytes: int | None = None
    request: str = ""
    created: Moment | None = None


def image_uuid(request_id: str) -> str:
    """Return the UUID of the domain of the image that the request ``request_id`` makes."""
    digest = hashlib.sha256(_IMAGE_NAMESPACE.bytes + request_id.encode()).digest()
    bits = int.from_bytes(digest[:16], "big")
    bits &= ~(0xF << 76 | 0x3 << 62)
    bits |= _UUID_VERSION << 76 | 0x2 << 62
    return str(uuid.UUID(int=bits))


def may_be_made_image(domain_uuid: str) -> bool:
    """Say whether a domain of that UUID may be an image that Maglica made, also while it runs."""
    return domain_uuid[14:15] == f"{_UUID_VERSION:x}"
