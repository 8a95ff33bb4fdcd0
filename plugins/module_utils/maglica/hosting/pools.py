# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host have a storage pool."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..model.errors import ConfigInvalid
from . import pool as forms
from .pool import PoolDefinition
from .present import POOL, Change, Hosting, State


def plan(hosting: Hosting, wanted: PoolDefinition, autostart: bool, optional: bool) -> Change:
    """Return what has to be done. Raises ConfigInvalid if what is there stands against it.

    ``optional``: what somebody else has made stays as it is, and what stands against it is noted.
    """
    forms.check(wanted)
    try:
        return _plan(hosting, wanted, autostart, optional)
    except ConfigInvalid as error:
        if not optional:
            raise
        return hosting.without(POOL, wanted.name, str(error))


def _plan(hosting: Hosting, wanted: PoolDefinition, autostart: bool, optional: bool) -> Change:
    wanted = _with_numbers(wanted, is_bare=hosting.is_bare)
    found = hosting.find(POOL, wanted.name)
    if found is None:
        return _new(hosting, wanted, autostart)
    before, uuid = hosting.state(POOL, found), found.UUIDString()
    there = forms.read(before.xml)
    hosting.check_there(POOL, found, forms.differences(wanted, there))
    if optional and there.uuid != uuid:
        hosting.check_runs(POOL, wanted.name, before)
        return Change(before, before, uuid)
    return Change(before, State(before.xml, True, autostart), uuid)


def _new(hosting: Hosting, wanted: PoolDefinition, autostart: bool) -> Change:
    made = forms.complete(wanted)
    on_path = _on_path(hosting, made)
    if on_path is None:
        _check_folder(hosting, made)
        return Change(State(), State(forms.xml(made), True, autostart), made.uuid)
    if wanted.path is None:
        note = f"pool {made.name} is not made: {on_path} of host {hosting.host} has {made.path}"
        return Change(State(), State(), "", note, is_as_good=True)
    raise ConfigInvalid(
        f"pool {made.name} of host {hosting.host} can't have {made.path}: pool {on_path} has it."
        " Two pools would each take the other's volumes for their own"
    )


def apply(hosting: Hosting, wanted: PoolDefinition, change: Change) -> None:
    """Do what ``plan`` returned.

    Only of a pool of Maglica's own that was never started is a folder made: of another that has
    none, the disk may not be mounted, or libvirt would give a group of volumes to a disk.
    """
    pool = forms.read(change.after.xml)
    is_new = pool.uuid == change.uuid and not change.before.active and not change.before.autostart
    build = is_new and pool.path is not None and not os.path.lexists(pool.path)
    hosting.apply(POOL, wanted.name, change, build)


def _with_numbers(wanted: PoolDefinition, *, is_bare: bool) -> PoolDefinition:
    """Return it with the numbers of its users. Raises ConfigInvalid if this host has no such user.

    Packages that a bare host lacks may bring them: there they stay names.
    """
    owner = _number("owner", wanted.owner, lambda name: pwd.getpwnam(name).pw_uid, is_bare)
    group = _number("group", wanted.group, lambda name: grp.getgrnam(name).gr_gid, is_bare)
    return replace(wanted, owner=owner, group=group)


def _number(
    option: str, name: int | str | None, look_up: Callable[[str], int], is_bare: bool
) -> int | str | None:
    if not isinstance(name, str):
        return name
    if name.isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        if is_bare:
            return name
        raise ConfigInvalid(f"{option}: this host has no {name[:40]!r}") from None


def _on_path(hosting: Hosting, made: PoolDefinition) -> str | None:
    """Return the name of a pool that has the same folder."""
    for text in hosting.definitions(POOL):
        other = forms.read(text)
        if other.path and os.path.realpath(other.path) == os.path.realpath(made.path or ""):
            return other.name
    return None


def _check_folder(hosting: Hosting, made: PoolDefinition) -> None:
    """Raise ConfigInvalid if the folder is there, and another one than is wanted."""
    try:
        found = Path(made.path or "").stat()
    except OSError:
        return
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    there = replace(made, mode=mode, owner=found.st_uid, group=found.st_gid)
    differences = forms.differences(made, there)
    if differences:
        raise ConfigInvalid(
            f"pool {made.name} of host {hosting.host}: the folder {made.path} is there, and"
            f" {'; '.join(differences)}. It is not changed: change it yourself, or leave that out"
        )
