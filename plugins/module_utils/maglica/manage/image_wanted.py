# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an original image shall be, in the form in which the client worker has it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..domain import new_image
from ..image import catalog
from ..image.catalog import Entry
from ..model import names
from ..model.errors import ImageUnknown, ImageUnsupported, MessageInvalid, NameInvalid
from ..model.plain import plain
from ..verbs.add_image import ADD_IMAGE, AddImageSpec
from ..verbs.prepare import PREPARE
from ..verbs.release import RELEASE
from ..verbs.remove_image import REMOVE_IMAGE
from ..verbs.verb import Verb

# In the place of a host while it is not chosen.
_ANY_HOST = "any"
# What a definition of the user's own says itself, and with it all of which one is made.
_IN_XML = ("vcpus", "memory_mib", "interfaces", "secure_boot")
_OF_MACHINE = (*_IN_XML, "firmware", "xml")


class ImageState(str, enum.Enum):
    """Whether the image shall be there, or the base of its present version, or no unused base."""

    PRESENT = "present"
    ABSENT = "absent"
    PREPARED = "prepared"
    RELEASED = "released"

    @property
    def verb(self) -> Verb:
        """What is asked of hosts for it."""
        return _VERBS[self]

    @property
    def done(self) -> str:
        """What was done for it where something was to do."""
        return _DONE.get(self, self.value)


_VERBS = {
    ImageState.PRESENT: ADD_IMAGE,
    ImageState.ABSENT: REMOVE_IMAGE,
    ImageState.PREPARED: PREPARE,
    ImageState.RELEASED: RELEASE,
}
_DONE = {ImageState.PRESENT: "added", ImageState.ABSENT: "removed"}


@dataclass(frozen=True)
class WantedImage:
    """What shall be with the image ``name``; ``want`` makes it, and checks all that is in it.

    No ``hosts`` means all that are up, but for PRESENT only those that have it. ``new`` is what to
    ask of a host where it shall be PRESENT.
    """

    name: str
    state: ImageState
    hosts: tuple[str, ...] = ()
    new: AddImageSpec | None = None

    def cannot(self, host: str | None = None) -> str:
        """Return the beginning of an error."""
        where = f" on host {host}" if host else ""
        return f"cannot {self.state.verb.command} image {self.name}{where}"

    def on(self, host: str) -> AddImageSpec:
        """Return what makes it PRESENT on a host."""
        if self.new is None:
            raise ValueError(f"image {self.name} shall not be present")
        return replace(self.new, host=host)


def want(
    name: str,
    state: ImageState = ImageState.PRESENT,
    hosts: Iterable[str] = (),
    own: Iterable[Entry] = (),
    **new: Any,
) -> WantedImage:
    """Return what is wanted; ``new`` has the fields of AddImageSpec, also as plain data.

    What is None there was not said. With neither ``url`` nor ``path`` the image is that of this
    name in the catalog, with ``own`` entries; what else is said counts more than what stands there.
    Raises NameInvalid, which names the parameter, ImageUnknown, or ImageUnsupported for what no
    host can make a definition of.
    """
    wanted = WantedImage(names.object_name(name), state, tuple(dict.fromkeys(hosts)))
    if state is not ImageState.PRESENT:
        return wanted
    said = {field: value for field, value in new.items() if value is not None}
    if "url" not in said and "path" not in said:
        said = {**_entry(wanted, own), **said}
    twice = [field for field in _IN_XML if said.get(field)]
    if "xml" in said and twice:
        raise NameInvalid(_in_options(f"xml says {' and '.join(twice)} itself: give one of them"))
    try:
        spec = ADD_IMAGE.record(plain({**said, "image": name, "host": _ANY_HOST}), "")
    except MessageInvalid as error:
        # The user knows the parameter, and no message.
        raise NameInvalid(_in_options(str(error).lstrip(".: "))) from None
    for index, nic in enumerate(spec.interfaces or ()):
        if nic.network and nic.bridge:
            raise NameInvalid(f"interfaces[{index}]: names both a network and a bridge")
    try:
        new_image.check(name, **{field: getattr(spec, field) for field in _OF_MACHINE})
    except ImageUnsupported as error:
        raise ImageUnsupported(f"{wanted.cannot()}: {error}") from None
    return replace(wanted, new=spec)


def _entry(wanted: WantedImage, own: Iterable[Entry]) -> dict[str, Any]:
    """Return what the catalog says of an image."""
    try:
        entry = catalog.find(wanted.name, own)
    except ImageUnknown as error:
        raise ImageUnknown(
            f"{wanted.cannot()}: neither url nor path is given, and {error}; of an image that is"
            " there already, the state prepared makes the base"
        ) from None
    found = {"url": entry.url, "checksum": str(entry.checksum)}
    more = {"firmware": entry.firmware, "format": entry.format}
    return {**found, **{field: value for field, value in more.items() if value is not None}}


def _in_options(text: str) -> str:
    """Return an error's text with the names that the options have, in the place of the fields'."""
    return text.replace("memory_mib", "memory")
