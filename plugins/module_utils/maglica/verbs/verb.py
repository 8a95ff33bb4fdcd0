# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be said of a verb: one thing that can be asked for.

Each verb has a file of its own here, which says what it means; what it does is in
host_worker/job/{vm,image}/, in the file of the same name. table.py has all of them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..model import names
from ..model.checks import Check, boolean, integer, list_of, named, record, uuid
from ..model.request import Spec
from ..model.vm import Domain

MAX_TAGS = 64
# The features of the protocol that verbs came with; by the first vms of others are taken over.
ADOPTION, PAUSED, SETTINGS = "adoption", "paused", "settings"

# Checks of fields that several specs have.
NAME = named(names.object_name)
VM_NAME = named(names.domain_name)
VCPUS = integer(1, 1024)
MEMORY = integer(16, 64 << 20)
# In MiB: up to 64 TiB, the largest disk that any image may have.
DISK_SIZE = integer(1, 64 << 20)
TAGS = list_of(named(names.tag), MAX_TAGS)


@dataclass(frozen=True)
class OnVm:
    """An act on a vm that exists and that Maglica made or adopted: no other domain is ever touched.

    ``uuid`` pins it: a new vm of the same name is not meant.
    """

    # No field: the verb's name, the same for all specs of a class.
    verb = ""
    name: str
    uuid: str
    host: str

    @property
    def new_memory_mib(self) -> int | None:
        """The memory that the vm has afterwards, if the act changes it."""
        return None

    @property
    def new_vcpus(self) -> int | None:
        """The vCPUs that the vm has afterwards, if the act changes them."""
        return None

    def without_secrets(self) -> OnVm:
        return self


@dataclass(frozen=True)
class OnImage:
    """An act on an original image of one host."""

    verb = ""
    image: str
    host: str

    @property
    def name(self) -> str:
        return self.image

    def without_secrets(self) -> OnImage:
        return self


def vm_record(cls: type[OnVm], **checks: Check) -> Check:
    """Return the check of an act on a vm, with the fields that only this act has."""
    return record(cls, name=VM_NAME, uuid=uuid(), host=NAME, **checks)


def image_record(cls: type[OnImage]) -> Check:
    """Return the check of an act on an image."""
    return record(cls, image=NAME, host=NAME)


class Interrupted(str, enum.Enum):
    """What becomes of a request whose job died, or that is cancelled while it runs."""

    # All that it has announced is undone; then it ends, or is done anew.
    UNDONE = "undone"
    # It is run again, which finds what is done already: nothing is to be undone.
    AGAIN = "again"
    # As soon as it has announced something it is brought to its end, also when it is cancelled.
    FINISHED = "finished"


# As many requests of slow verbs a host works at, and is told of, at once.
SLOW_JOBS = 2


class Takes(str, enum.Enum):
    """What a request takes of its host, which is reserved until a report shows it."""

    NOTHING = "nothing"
    # The memory of a vm that is there.
    MEMORY = "memory"
    # The memory and the disks of a new vm, and its name.
    NEW_VM = "new vm"


class Leaves(str, enum.Enum):
    """What is known of the vm when a request is done, before a report of its host says so."""

    AS_IT_IS = "as it is"
    STOPPED = "stopped"
    PAUSED = "paused"
    GONE = "gone"


@dataclass(frozen=True)
class Option:
    """An option of a verb's command; ``field`` is the one of the spec that it fills."""

    field: str
    flag: str
    what: str | None = None
    # or "size" in MiB, "seconds", which may be 0, "switch", "yes or no", "text", "any text", which
    # may be empty, "tags", "numbers"
    form: str = "number"
    metavar: str | None = None
    default: Any = None
    # Whether it says how something is done, and nothing that is to be done.
    is_manner: bool = False
    is_needed: bool = False
    # Of a text, or of "tags", the words that it can be, if there are no others.
    choices: tuple[str, ...] = ()
    # Of those options of a verb that have the same word here one can be said.
    either: str | None = None


def words(kind: type[enum.Enum]) -> tuple[str, ...]:
    """Return what an option can be."""
    return tuple(each.value for each in kind)


FORCE = Option(
    "force", "--force", "pull the plug if it does not shut down", "switch", is_manner=True
)
ALLOW_RESTART = Option(
    "allow_restart",
    "--allow-restart",
    "restart a vm that runs and can't have it otherwise",
    "switch",
    is_manner=True,
)
SHUTDOWN_TIMEOUT = Option(
    "stop_timeout",
    "--shutdown-timeout",
    "how long the guest may take to shut down (default: 120)",
    "seconds",
    metavar="SECONDS",
    default=120,
    is_manner=True,
)
# What is said of how a vm is shut down, with which verb ever.
ENDING = {"force": boolean, "stop_timeout": integer(0, 86400)}


class Size(Protocol):
    """What of a clone's spec can be changed later."""

    @property
    def clone_mode(self) -> str: ...
    @property
    def vcpus(self) -> int | None: ...
    @property
    def memory_mib(self) -> int | None: ...
    @property
    def disk_size_mib(self) -> int | None: ...


class WantedVm(Protocol):
    """How a vm shall be, as far as verbs must know; None: that is left as it is."""

    @property
    def clone(self) -> Size: ...
    @property
    def state(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...] | None: ...
    @property
    def force(self) -> bool: ...
    @property
    def stop_timeout(self) -> int: ...
    @property
    def allow_restart(self) -> bool: ...
    @property
    def adopt(self) -> bool | None: ...
    @property
    def autostart(self) -> bool | None: ...
    @property
    def description(self) -> str | None: ...
    @property
    def protected(self) -> bool | None: ...


def restarting(wanted: WantedVm, existing: Domain, can_wait: bool = True) -> tuple[bool, bool, int]:
    """Return whether a vm may be restarted for what it can't have while it runs, and how: ``force``
    and ``stop_timeout``. One that shall be off is not, nor is one that is restarted in any case for
    what ``can_wait`` until then, nor one that stands still where nobody has asked that it runs.
    """
    states = {"running"} if can_wait else {"running", "restarted"}
    if existing.state not in ("paused", "suspended"):
        states.add("present")
    if wanted.allow_restart and wanted.state in states:
        return True, wanted.force, wanted.stop_timeout
    return False, False, 120


@dataclass(frozen=True)
class Change:
    """A step that a vm needs: what to ask for, and what of the vm that changes.

    ``before`` has what is not shown of every vm. ``first``: other steps need it done.
    """

    spec: Spec
    after: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)
    first: bool = False


@dataclass(frozen=True)
class Verb:
    """One thing that can be asked for.

    ``spec`` is the class of its specs, ``record`` their check on the wire. ``help`` is its line in
    the command line, with ``options``. ``interrupted``: what a job that died leaves to do.
    """

    spec: type[Any]
    record: Check
    help: str
    interrupted: Interrupted
    options: tuple[Option, ...] = ()
    # What of a vm it changes, if what is wanted and what is there make that necessary: in one step,
    # or in several.
    change: Callable[[Any, Domain], Change | tuple[Change, ...] | None] | None = None
    # What of a vm its command wants, by the values of its options; None: these are what is wanted.
    wants: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    # The state of a vm, as asked for by a user, which this verb brings it to.
    state: str | None = None
    # What else its command wants of the vm, beside the options.
    wanted: Mapping[str, Any] = field(default_factory=dict)
    about: str = "vm"  # or "image"
    # What it does, as errors say it before the name of what it is about; None: its own name.
    act: str | None = None
    takes: Takes = Takes.NOTHING
    leaves: Leaves = Leaves.AS_IT_IS
    # Whether the vm runs when it is done, unless its spec says otherwise.
    runs_vm: bool = False
    # The image whose base its job needs: those that wait for one image run in one job.
    base_of: Callable[[Any], str] | None = None
    # Whether it is work ahead, which waits for those who need something now.
    ahead: bool = False
    # The phase that a request has which found something to do; None: any.
    acting_phase: str | None = None
    # Whether a vm that runs is switched off and gone by it: its command asks first.
    ends_vm: bool = False
    # Whether it is refused for a vm whose UUID several hosts show, as what ends one is.
    unique: bool = False
    # Whether all of it destroys data of a vm: then it is refused for one that is protected.
    destroys: bool = False
    # Whether it takes minutes and much of the net, so that few run at once: SLOW_JOBS on a host.
    slow: bool = False
    # The feature of the protocol that it came with: who has not named that is not told of it.
    feature: str | None = None
    # The fields of its spec that came later, each with its feature.
    later: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        name: str = self.spec.verb
        return name

    @property
    def command(self) -> str:
        """The word of its command, behind that of what it is about."""
        return self.name.replace(f"_{self.about}", "").replace("_", "-")

    def changes(self, wanted: Any, existing: Domain) -> tuple[Change, ...]:
        """Return the steps by which it brings a vm nearer to what is wanted."""
        found = self.change(wanted, existing) if self.change else None
        return (found,) if isinstance(found, Change) else found or ()

    @property
    def makes_vm(self) -> bool:
        """Whether its request makes a vm: then an equal request may join it while it is open."""
        return self.takes is Takes.NEW_VM
