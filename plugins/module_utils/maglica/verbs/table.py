# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All verbs. Whoever wants to know something of a request's verb asks here."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from ..model.checks import Check
from ..model.errors import MessageInvalid
from ..model.request import Request, Spec
from .add_image import ADD_IMAGE
from .adopt import ADOPT
from .clone import CLONE
from .disown import DISOWN
from .flatten import FLATTEN
from .hardware.add_disk import ADD_DISK
from .hardware.add_interface import ADD_INTERFACE
from .hardware.change_interface import CHANGE_INTERFACE
from .hardware.detach_disk import DETACH_DISK
from .hardware.grow_disk import GROW_DISK
from .hardware.remove_interface import REMOVE_INTERFACE
from .hardware.set_boot_order import SET_BOOT_ORDER
from .hardware.set_cdrom import SET_CDROM
from .inspect import INSPECT
from .power.pause import PAUSE
from .prepare import PREPARE
from .release import RELEASE
from .remove import REMOVE
from .remove_image import REMOVE_IMAGE
from .resize import RESIZE
from .restart import RESTART
from .set import SET
from .start import START
from .stop import STOP
from .tag import TAG
from .verb import Verb

# Where a vm needs several, they are asked for in this order.
VERBS: tuple[Verb, ...] = (
    *(CLONE, REMOVE, STOP, DETACH_DISK, GROW_DISK, ADD_DISK, SET_CDROM, SET_BOOT_ORDER),
    *(REMOVE_INTERFACE, CHANGE_INTERFACE, ADD_INTERFACE),
    *(RESIZE, TAG, SET, RESTART, FLATTEN, START, PAUSE, ADOPT, DISOWN),
    *(INSPECT, PREPARE, RELEASE, ADD_IMAGE, REMOVE_IMAGE),
)


class Presence(str, enum.Enum):
    """The state that a vm shall have: each is that of a verb (``Verb.state``), but ``PRESENT``,
    which leaves a vm that is there on or off as it is.
    """

    PRESENT = "present"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    RESTARTED = "restarted"
    ABSENT = "absent"


_BY_NAME = {verb.name: verb for verb in VERBS}


def named(name: str) -> Verb:
    """Return the verb of that name. Raises KeyError."""
    return _BY_NAME[name]


def of(asked: Request | Spec) -> Verb:
    """Return the verb of a request or of a spec."""
    spec = asked.spec if isinstance(asked, Request) else asked
    return _BY_NAME[spec.verb]


# What of the protocol came with a verb, or with a field of its spec.
FEATURES = tuple(
    dict.fromkeys(
        feature for verb in VERBS for feature in (verb.feature, *verb.later.values()) if feature
    )
)


def act(asked: Request | Spec) -> str:
    """Return what is asked for, in words, as "cannot" goes before it."""
    verb = of(asked)
    return f"{verb.act or verb.name.replace('_', ' ')} {asked.name}"


def features_of(spec: Spec) -> frozenset[str]:
    """Return the features that somebody must know who is to be told of all that a spec says."""
    verb = of(spec)
    if verb.feature is None and not verb.later:
        return frozenset()
    nothing = {field.name: field.default for field in dataclasses.fields(verb.spec)}
    said = (name for name in verb.later if getattr(spec, name) != nothing[name])
    return frozenset(filter(None, (verb.feature, *map(verb.later.__getitem__, said))))


def _name(value: Any, path: str) -> str:
    if isinstance(value, str) and value in _BY_NAME:
        return value
    raise MessageInvalid(f"{path}: not one of {', '.join(_BY_NAME)}")


# The name of a verb, as it stands in a message.
NAME = Check(_name, {"enum": list(_BY_NAME)})


def spec(value: Any, path: str, verb: str) -> Spec:
    """Check the spec of a request for the verb of that name, as it stands in a message."""
    checked: Spec = _BY_NAME[verb].record.read(value, path)
    return checked
