# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every disk that the parts write to is filled to the last byte: both journals, and a pool.

Small file systems on loop devices. What can't be kept is refused before it is accepted, or undone;
when there is room again all goes on by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from support.figures import Figure, at_least, at_most, control

from . import full_journals, full_pool
from .frame import Run


def figures(run: Run) -> Iterator[Figure]:
    found = full_journals.client_side(run)
    how = f"{found.accepted} accepted, {found.refused} refused on a full disk, kill -9"
    yield at_least("disk full: requests refused", found.refused, full_journals.REFUSALS, how)
    yield at_most("disk full: accepted requests lost", found.lost, 0, how)
    yield at_most("disk full: refused requests that are there", found.kept, 0, how)
    yield at_most("disk full: refusals that don't name the journal", found.unclear, 0, how)
    yield run.within(
        "disk full: seconds until accepted again", found.seconds, 2, "after room was made"
    )
    open_found = full_journals.client_side(run, "commits")
    how = "replies although the commit failed"
    yield control("disk full: accepted requests lost", open_found.lost, how)
    damaged = found.damaged
    late = full_journals.client_side(run, "rollback").kept
    how = "what was not committed is kept for the next transaction"
    yield control("disk full: refused requests that are there", late, how)

    hasty = full_journals.host_side(run, 10, "acceptance")
    what = "disk full: acknowledged, not in the host's journal"
    yield control(what, hasty.lost, f"acknowledged at once, seen after {hasty.seconds:.1f} s")
    done = "disk full: requests not done when there was room"
    yield control(done, hasty.unfinished, "acknowledged at once, published once")
    # Long enough that what should not come would have come, and been published again.
    host = full_journals.host_side(run, 3 + 3 * hasty.seconds)
    damaged += host.damaged
    how = f"{host.accepted} requests for a host whose state's disk is full"
    yield at_least("disk full: requests not acknowledged", host.refused, host.accepted, how)
    yield at_most(what, host.lost, 0, how)
    yield at_most("disk full: hosts that don't tell", host.unclear, 0, "problem in their hello")
    yield at_most(done, host.unfinished, 0, how)
    yield at_most("disk full: damaged journals", damaged, 0, "PRAGMA integrity_check")
    damaged = int(full_journals.torn(run.folder))
    yield control("disk full: damaged journals", damaged, "the last page of one not written")

    pool = full_pool.figures_of(run)
    how = f"{pool.count} clones on a pool that fills up at: {', '.join(pool.points)}"
    yield at_most("disk full: clones that don't name pool and room", len(pool.unclear), 0, how)
    yield at_most(
        "disk full: left behind", len(pool.left), 0, "volumes, domains, intents, programs"
    )
    if not run.short:
        yield control("disk full: left behind", pool.not_undone, "nothing undone")
        what = "disk full: clones not done when there was room"
        yield at_most(what, pool.unfinished, 0, how)
        yield control(what, pool.failed, "the same clones while there was none")
        how = "from the last byte to the failed request, appliances running"
        yield at_most("disk full: seconds until found", max(pool.seconds), 20, how)
