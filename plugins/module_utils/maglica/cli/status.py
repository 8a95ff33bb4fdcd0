# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica status``: the whole cloud in one table, what is wrong with it, and what to do.

It asks the client worker only, and nothing that an observer may not ask.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ..fleet import health
from ..fleet.health import Trouble
from ..model import sizes
from ..model.plain import plain
from ..model.request import HostStatus, Request, State
from ..model.text import one_line
from ..model.worker import ClientWorkerStatus
from . import as_json, text
from .console import Cloud, Console
from .exits import Exit

_OPEN = tuple(state for state in State if not state.ended)
# More open requests than any cloud has.
_ALL = 1_000_000
_TITLES = ("Name", "State", "Version", "MiB free", "Space free", "Images", "Vms", "Open", "Oldest")


def add_command(objects: Any, common: argparse.ArgumentParser) -> None:
    said = "show hosts, versions, space, the oldest open request; what is wrong and what to do"
    parser = objects.add_parser(
        "status",
        help=said,
        description=said[0].upper() + said[1:] + ".",
        parents=[common],
    )
    parser.set_defaults(run=status)


def status(cloud: Cloud, _asked: argparse.Namespace, console: Console) -> Exit:
    """Show all; the exit status tells whether anything is wrong."""
    client_worker, hosts = cloud.client.overview()
    requests = cloud.client.list(_OPEN, _ALL)
    now = time.time()
    troubles = health.troubles(hosts, client_worker, requests, now)
    console.show(
        shown(client_worker, hosts, requests, troubles),
        _table(client_worker, hosts, requests, now) + _said(troubles),
    )
    return Exit.WRONG if _is_wrong(troubles) else Exit.DONE


def shown(
    client_worker: ClientWorkerStatus | None,
    hosts: Iterable[HostStatus],
    requests: Sequence[Request],
    troubles: Sequence[Trouble],
) -> dict[str, Any]:
    """Return all of it as plain data; docs/commands.md has the keys."""
    return {
        "ok": not _is_wrong(troubles),
        "client_worker": plain(client_worker),
        "hosts": list(map(as_json.host, hosts)),
        "open_requests": len(requests),
        "oldest_open": as_json.request(min(requests, key=_created)) if requests else None,
        "troubles": list(map(plain, troubles)),
    }


def _is_wrong(troubles: Iterable[Trouble]) -> bool:
    return any(trouble.wrong for trouble in troubles)


def _created(request: Request) -> float:
    return request.created


def _table(
    client_worker: ClientWorkerStatus | None,
    hosts: Iterable[HostStatus],
    requests: Sequence[Request],
    now: float,
) -> str:
    version = client_worker.version if client_worker else None
    rows: list[tuple[object, ...]] = [
        (health.CLIENT_WORKER, "up", version, *[None] * 4, *_open(requests, now))
    ]
    for each in hosts:
        report = each.report
        pools = [pool for pool in report.pools if pool.shared is None]
        images = sum(domain.is_image for domain in report.domains)
        mine = [request for request in requests if request.host == each.host]
        rows.append(
            (
                each.host,
                "up" if each.alive else "down",
                each.worker_version,
                f"{report.memory_free_mib}/{report.memory_total_mib}",
                ", ".join(f"{pool.name} {sizes.about(pool.free_bytes)}" for pool in pools),
                images,
                len(report.domains) - images,
                *_open(mine, now),
            )
        )
    return text.table(_TITLES, rows)


def _open(requests: Sequence[Request], now: float) -> tuple[int, str | None]:
    """Return how many requests are open, and since when the oldest one is."""
    oldest = min(map(_created, requests), default=None)
    return len(requests), None if oldest is None else health.lasting(now - oldest)


def _said(troubles: Sequence[Trouble]) -> str:
    if not troubles:
        return "\nNothing is wrong.\n"
    lines = ["\n"]
    for trouble in troubles:
        word = "Wrong" if trouble.wrong else "To know"
        where = f"{trouble.host}: " if trouble.host else ""
        lines.append(f"{word}: {one_line(where + trouble.text)}\n")
        lines.append(f"  To do: {one_line(trouble.todo)}\n")
    return "".join(lines)
