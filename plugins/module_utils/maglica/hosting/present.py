# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and networks of this host: looked for, defined where they are lacking, started.

What is there is never changed: that it is not as it is wanted is an error that says in what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._deps import need
from ..libvirtd import local
from ..model.errors import ConfigInvalid


@dataclass(frozen=True)
class Kind:
    """A pool or a network: its noun, and what libvirt's binding calls what is done with it."""

    noun: str
    look_up: str
    define: str
    list_all: str
    absent: str


POOL = Kind(
    noun="pool",
    look_up="storagePoolLookupByName",
    define="storagePoolDefineXML",
    list_all="listAllStoragePools",
    absent="VIR_ERR_NO_STORAGE_POOL",
)
NETWORK = Kind(
    noun="network",
    look_up="networkLookupByName",
    define="networkDefineXML",
    list_all="listAllNetworks",
    absent="VIR_ERR_NO_NETWORK",
)


@dataclass(frozen=True)
class State:
    """How a pool or network is, or shall be; ``xml`` is empty where there is none."""

    xml: str = ""
    active: bool = False
    autostart: bool = False

    def shown(self) -> str:
        """Return it as a text to be compared."""
        if not self.xml:
            return ""
        words = {True: "yes", False: "no"}
        return f"active: {words[self.active]}\nautostart: {words[self.autostart]}\n{self.xml}"


@dataclass(frozen=True)
class Change:
    """What there is, and what there shall be.

    ``note`` is to be told to the user, ``is_as_good``: there is no need to warn of it.
    """

    before: State
    after: State
    uuid: str
    note: str = ""
    is_as_good: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return self.before != self.after


class Hosting:
    """The pools and networks of one libvirtd, on the host that has the name ``host``.

    All raise LibvirtFailed or HostDown with libvirt's own words. Without a connection, as where
    libvirt is not installed yet, there are none.
    """

    def __init__(self, connection: Any, host: str) -> None:
        self._connection = connection
        self.host = host

    @property
    def is_bare(self) -> bool:
        """Whether libvirt is not there yet."""
        return self._connection is None

    def find(self, kind: Kind, name: str) -> Any:
        """Return the pool or network of that name (libvirt's object), or None."""
        if self._connection is None:
            return None
        libvirt = need("libvirt")
        with local.errors(f"look for {kind.noun} {name}", self.host):
            try:
                return getattr(self._connection, kind.look_up)(name)
            except libvirt.libvirtError as error:
                if error.get_error_code() != getattr(libvirt, kind.absent):
                    raise
        return None

    def definitions(self, kind: Kind) -> list[str]:
        """Return the definitions of all pools or networks."""
        if self._connection is None:
            return []
        with local.errors(f"list its {kind.noun}s", self.host):
            return [defined(each) for each in getattr(self._connection, kind.list_all)(0)]

    def state(self, kind: Kind, found: Any) -> State:
        """Return how a pool or network is."""
        with local.errors(f"read a {kind.noun}", self.host):
            autostart = found.isPersistent() and found.autostart()
            return State(defined(found), bool(found.isActive()), bool(autostart))

    def check_there(self, kind: Kind, found: Any, differences: Sequence[str]) -> None:
        """Raise ConfigInvalid if what is there goes with its end, or is not as it is wanted."""
        subject = f"{kind.noun} {found.name()} of host {self.host}"
        with local.errors(f"read a {kind.noun}", self.host):
            is_persistent = found.isPersistent()
        if not is_persistent:
            raise ConfigInvalid(
                f"{subject} is transient: it is gone when it ends. Define it, or take another name"
            )
        if differences:
            raise ConfigInvalid(
                f"{subject} is there, and {'; '.join(differences)}. It is not changed: say what it"
                " is, or take another name"
            )

    def check_runs(self, kind: Kind, name: str, state: State) -> None:
        """Raise ConfigInvalid if one that somebody else has made does not run: it stays so."""
        if not state.active:
            raise ConfigInvalid(
                f"{kind.noun} {name} of host {self.host} does not run, and stays so, for Maglica"
                " has not made it. To have it run, start it yourself, or name it without"
                f" `optional`, as in libvirtd_{kind.noun}s: [{{name: {name}}}]"
            )

    def without(self, kind: Kind, name: str, why: str) -> Change:
        """Return that all stays as it is."""
        found = self.find(kind, name)
        if found is None:
            return Change(State(), State(), "", why)
        state = self.state(kind, found)
        return Change(state, state, found.UUIDString(), why)

    def apply(self, kind: Kind, name: str, change: Change, build: bool = False) -> None:
        """Do what is lacking; ``build``: make the folder of a pool first."""
        found = self.find(kind, name)
        if change.after.xml != change.before.xml:
            with local.errors(f"define {kind.noun} {name}", self.host):
                found = getattr(self._connection, kind.define)(change.after.xml)
        if build:
            with local.errors(f"make the folder of pool {name}", self.host):
                found.build()
        # Before it runs: one that has run and does not is taken for one that was stopped.
        if change.after.autostart != change.before.autostart:
            with local.errors(f"set whether {kind.noun} {name} starts with the host", self.host):
                found.setAutostart(change.after.autostart)
        if change.after.active and not change.before.active:
            with local.errors(f"start {kind.noun} {name}", self.host):
                found.create()


def defined(found: Any) -> str:
    """Return the definition that a pool or network has at its next start."""
    libvirt = need("libvirt")
    # Both kinds' flags for this have one value; a transient one has that definition only.
    return str(found.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE if found.isPersistent() else 0))
