# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm prune``: a list of vms as the whole truth about a tag, as ``prune_tag`` of the
module maglica_vms.
"""

from __future__ import annotations

import argparse

from ..manage.group import Whole
from ..manage.target import Target
from ..manage.task import Task
from ..manage.wanted import want
from ..model.text import one_line, some
from ..verbs.table import Presence
from . import options
from .bring import bring, result, waiting
from .console import Cloud, Console, NotConfirmed


def add_command(group: options.Group) -> None:
    parser = group.add("prune", prune, "remove all vms that have a tag but those that are kept")
    add = parser.add_argument
    add("--tag", required=True, type=options.given, help="the tag")
    add(
        "--keep",
        # Whoever says it once for each vm means all of these.
        action="extend",
        nargs="+",
        type=options.given,
        default=[],
        metavar="NAME",
        help="the vms that shall have the tag, and no others (default: none)",
    )
    options.source(parser)
    options.wait(parser)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="only tell what would be done")
    choice.add_argument("--force", action="store_true", help="remove them unasked")


def prune(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    """Do what was shown to the user before, and no more: what gets or loses the tag until the
    answer stays.

    One that may not be removed, or a host that is silent, stops it before anything is done.
    """
    members = _foreseen(cloud, asked)
    changing = [member for member in members if member.changed]
    lines = [_would(member, asked.tag) for member in changing]
    if asked.check or not changing:
        shown = [{**result(member), "host": member.before.get("host")} for member in members]
        console.show(shown, "".join(f"{line}\n" for line in lines) or "nothing to do\n")
        return
    going = [member.name for member in changing if _goes(member)]
    if going and not asked.force:
        for line in lines:
            console.say(line)
        if not console.ask(f"Remove {_count(going)} with all that is their own?"):
            raise NotConfirmed(
                f"{_count(going)} with the tag {asked.tag} would go, so nothing is done:"
                f" {some(going)}; say --force to remove them"
            )
        shown_before = set(map(_which, changing))
        now = (member for member in _foreseen(cloud, asked) if member.changed)
        changing = [member for member in now if _which(member) in shown_before]
        if not changing:
            console.show([], "nothing to do\n")
            return
    bring(cloud, asked, console, [member.wanted for member in changing], as_list=True)


def _foreseen(cloud: Cloud, asked: argparse.Namespace) -> list[Target]:
    task = Task(cloud.client, cloud.fleet(asked.source), waiting(asked))
    return task.foresee(Whole(asked.tag, list(map(want, asked.keep))))


def _which(member: Target) -> tuple[str, str | None, bool]:
    """Return which vm it is, by its UUID where it is there, and whether it goes."""
    existing = member.plan.existing
    return member.name, existing.uuid if existing else None, _goes(member)


def _goes(member: Target) -> bool:
    return member.wanted.state is Presence.ABSENT


def _would(member: Target, tag: str) -> str:
    does = "be removed" if _goes(member) else f"get the tag {tag}"
    return one_line(f"{member.name} on {member.before.get('host')} would {does}")


def _count(names: list[str]) -> str:
    return f"{len(names)} vm{'' if len(names) == 1 else 's'}"
