# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start with a journal that stands for one that was lost: a new one, or the copy of a backup.

Hosts know of requests and vms of which it does not. They tell all of it to a journal that is new
to them, and before they have, no clone is placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..model.errors import RequestUnknown
from ..model.request import Failure, Request, State
from ..model.vm import vm_uuid
from ..verbs import table
from .journal import Journal
from .state import Context

# Hosts remember what has ended for a week.
HOSTS_REMEMBER_SECONDS = 6 * 86400.0


def expect(context: Context, journal: Journal, names: Iterable[str]) -> None:
    """Wait for what these hosts know, if the journal is learning."""
    if journal.is_learning():
        copied = journal.copied() is not None
        context.hosts.expected.begin(names, context.clock(), in_place_of_another=copied)


def expect_too(context: Context, journal: Journal, names: Iterable[str]) -> None:
    """Wait for these hosts, too, which have just registered."""
    if journal.is_learning():
        context.hosts.expected.add(names, context.clock())


def missing(context: Context) -> list[str]:
    """Return the hosts without which no clone is placed yet."""
    return context.hosts.missing(context.clock(), bool(context.strays))


def makers(context: Context, asked: Sequence[Request]) -> dict[str, str]:
    """Return by id the hosts that have some of these requests, or the vms that they make, although
    the journal does not know them: what they do or did was asked for before it was lost. Who wants
    a certain host gets no other for what that one says.
    """
    found = {
        request.id: holders[0]
        for request in asked
        if table.of(request).makes_vm
        and len(holders := context.hosts.holders(vm_uuid(request.id))) == 1
    }
    strays = context.strays
    found.update({each.id: strays[each.id] for each in asked if each.id in strays})
    wanted = {each.id: each.spec.host for each in asked}
    return {each: host for each, host in found.items() if wanted[each] in (None, host)}


def end_forgotten(context: Context, journal: Journal) -> None:
    """End what an old copy takes to be under way: its hosts may have done it and forgotten it.

    Given to them again, it would be done twice.
    """
    copied = journal.copied()
    if copied is None or context.wall() - copied < HOSTS_REMEMBER_SECONDS:
        return
    context.requests.begin()
    for request in list(context.requests.open.values()):
        text = (
            f"request {request.id} ({request.kind} {request.name} on host {request.host}) was open"
            " when the backup was made that the client worker's journal comes from. That is so long"
            " ago that it can't be told whether it was done: look there, and ask for what lacks"
        )
        failure = Failure(RequestUnknown.code, text)
        context.requests.change(request, state=State.FAILED, phase=None, failure=failure)
    context.requests.commit()
