# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings about how vms shall be, as the modules do, and shows what was done."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..manage import shown
from ..manage.target import Target, WaitFor, Waiting, failures, warnings
from ..manage.task import Task
from ..manage.wanted import Wanted
from ..model.errors import VmUnknown
from ..model.text import one_line
from ..verbs.table import Presence
from . import text
from .console import Cloud, Console
from .follow import Follow


def waiting(asked: argparse.Namespace) -> Waiting:
    """Return how the user wants to wait."""
    return Waiting(asked.wait, WaitFor.CLONED, asked.timeout)


def bring(
    cloud: Cloud,
    asked: argparse.Namespace,
    console: Console,
    wanted: Sequence[Wanted],
    *,
    as_list: bool = False,
) -> None:
    """Bring vms to a state, wait as asked, and show them, a single one as a list only if asked for.
    Raises what failed.
    """
    follow = Follow(console, cloud.client, many=len(wanted) > 1)
    hosts = cloud.fleet(asked.source)
    how = waiting(asked)
    task = Task(cloud.client, hosts, how, follow, follow.submitted, on_quiet=follow.quiet)
    with follow.followed():
        members = task.bring(wanted)
    for member in members:
        if member.wanted.state is Presence.ABSENT and not (member.changed or member.error):
            member.error = VmUnknown(f"there is no vm {member.name}")
    results = [result(member) for member in members]
    console.show(results if as_list or len(results) > 1 else results[0], text.members(members))
    for warning in filter(None, (*warnings(members), shown.restart_warning(members))):
        console.say(f"warning: {warning}")
    error = failures(members)
    if error is not None:
        raise error


def result(member: Target) -> dict[str, Any]:
    """Return what was done for a vm, in the names of the modules' results."""
    result = {"name": member.name, **shown.of_member(member)}
    if member.error:
        result.update(failed=True, msg=one_line(str(member.error)), code=member.error.code)
    return result
