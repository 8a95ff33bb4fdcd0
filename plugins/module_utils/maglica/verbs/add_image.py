# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an original image of a file, or give one that is there a new version."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from ..image import checksum, origin
from ..image.origin import Origin
from ..model import urls
from ..model.checks import Check, boolean, choice, list_of, optional, record
from ..model.errors import MessageInvalid, NameInvalid
from ..model.image import Firmware
from ..model.request import Nic
from .clone import MAX_NICS, nic
from .verb import MEMORY, NAME, VCPUS, Interrupted, OnImage, Verb

MAX_XML = 1 << 16
_MAX_CHECKSUM = urls.MAX_LENGTH + len("sha512:")
_MAX_PATH = 4096
# XML has none of most of these, and a terminal or a log does what the others say.
_CONTROL = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_NOT_IN_XML = re.compile(rf"[{_CONTROL}\ud800-\udfff]")
# What a definition can have of secrets, a display's password, is refused, but only by the host.
_PASSWORD = re.compile(r"""(\spasswd\s*=\s*)("[^"]*"|'[^']*')""")


@dataclass(frozen=True)
class AddImageSpec(OnImage):
    """An image that shall be as a file is, from ``url`` or from ``path`` on the host itself.

    ``checksum`` is as ``image.checksum.parse`` takes it; with ``url`` it must be there. What is
    None is as the file or the disk itself says, or as usual. A URL may have a password or a token
    in it: no repr shows one, so no log and no traceback.
    """

    verb = "add_image"
    url: str | None = field(default=None, repr=False)
    path: str | None = None
    checksum: str | None = field(default=None, repr=False)
    format: str | None = None
    pool: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    interfaces: tuple[Nic, ...] | None = None
    firmware: Firmware | None = None
    secure_boot: bool = False
    xml: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> Origin:
        """Where it comes from. Raises NameInvalid."""
        expected = None if self.checksum is None else checksum.parse(self.checksum)
        return Origin(self.url, self.path, expected, self.format)

    def without_secrets(self) -> AddImageSpec:
        """Return the spec as it may be shown and kept after the request has ended."""
        xml = None if self.xml is None else _PASSWORD.sub(r"\1''", self.xml)
        url = None if self.url is None else urls.shown(self.url)
        expected = None if self.checksum is None else checksum.shown(checksum.parse(self.checksum))
        return replace(self, url=url, checksum=expected, xml=xml)


def _text(limit: int) -> Check:
    """A string that is checked with the others of its spec, or by the host."""

    def read(value: Any, path: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise MessageInvalid(f"{path}: not a string of at most {limit} characters")
        return value

    return Check(read, {"type": "string", "maxLength": limit})


def _definition(value: Any, path: str) -> str:
    text: str = _text(MAX_XML).read(value, path)
    if _NOT_IN_XML.search(text):
        raise MessageInvalid(f"{path}: has a control character")
    return text


def _format(value: Any, path: str) -> str:
    if isinstance(value, str) and value in origin.FORMATS:
        return value
    raise MessageInvalid(f"{path}: not one of {', '.join(origin.FORMATS)}")


_FIELDS = record(
    AddImageSpec,
    image=NAME,
    host=NAME,
    url=optional(_text(urls.MAX_LENGTH)),
    path=optional(_text(_MAX_PATH)),
    checksum=optional(_text(_MAX_CHECKSUM)),
    format=optional(Check(_format, {"enum": list(origin.FORMATS)})),
    pool=optional(NAME),
    vcpus=optional(VCPUS),
    memory_mib=optional(MEMORY),
    interfaces=optional(list_of(nic, MAX_NICS)),
    firmware=optional(choice(Firmware)),
    secure_boot=boolean,
    xml=optional(
        Check(_definition, {**_text(MAX_XML).schema, "not": {"pattern": f"[{_CONTROL}]"}})
    ),
)


def _read(value: Any, path: str) -> AddImageSpec:
    spec: AddImageSpec = _FIELDS.read(value, path)
    try:
        _origin = spec.origin
    except NameInvalid as error:
        raise MessageInvalid(f"{path}: {error}") from None
    return spec


_ONE = [{"properties": {name: {"type": "string"}}, "required": [name]} for name in ("url", "path")]

ADD_IMAGE = Verb(
    spec=AddImageSpec,
    record=Check(_read, {**_FIELDS.schema, "oneOf": _ONE}),
    help="make an original image of a file on the web or on the host",
    interrupted=Interrupted.UNDONE,
    about="image",
    acting_phase="define",
    slow=True,
)
