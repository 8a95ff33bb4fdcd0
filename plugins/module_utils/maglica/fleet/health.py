# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a cloud, and what to do about it, by what its parts have told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..model import sizes
from ..model.request import HostReport, HostStatus, PoolSummary, Request
from ..model.text import one_line, some
from ..model.worker import ClientWorkerStatus

# Seconds that a request may be open before somebody should look at it: a full copy of a large disk
# and the download of an image take less.
OPEN_SECONDS = 3600.0
# A pool with less than this part of it free is nearly full.
FREE_PART = 0.05
CLIENT_WORKER = "client worker"


@dataclass(frozen=True)
class Trouble:
    """Something to know: ``text`` says it of ``host`` (None: of the client worker, or of all) and
    ``todo`` what to do. ``wrong``: it is no mere notice.
    """

    code: str
    host: str | None
    text: str
    todo: str
    wrong: bool = True


def troubles(
    hosts: Sequence[HostStatus],
    client_worker: ClientWorkerStatus | None,
    open_requests: Sequence[Request],
    now: float,
) -> list[Trouble]:
    """Return what is to be said of a cloud, what is wrong first.

    ``client_worker``: what it says of itself, None from one of an earlier version. ``now`` is the
    time of day.
    """
    found = [*_of_client_worker(client_worker)]
    if not hosts:
        found.append(
            Trouble(
                "no_host",
                None,
                "the client worker knows no host",
                "deploy one with the playbook maglica.cloud.deploy",
            )
        )
    for status in hosts:
        found += _of_host(status, now)
    found += _of_versions(hosts, client_worker)
    found += _of_requests(open_requests, now)
    found += _of_images(hosts)
    return sorted(found, key=lambda trouble: not trouble.wrong)


def _of_client_worker(client_worker: ClientWorkerStatus | None) -> Iterator[Trouble]:
    for problem in client_worker.problems if client_worker else ():
        yield Trouble(
            "client_worker",
            None,
            problem,
            "put that right on the client worker's machine; its log says more:"
            f" {log('maglica-client-worker')}",
        )


def _of_host(status: HostStatus, now: float) -> Iterator[Trouble]:
    name, report = status.host, status.report
    if not status.alive:
        since = "since the client worker knows it"
        if status.seen is not None:
            since = f"for {lasting(now - status.seen)}"
        yield Trouble(
            "host_silent",
            name,
            f"nothing was heard of it {since}",
            f"see that the machine runs and reaches the client worker, and what its worker says:"
            f" {log('maglica-host-worker')}",
        )
        # What it has said before may not be so any more.
        return
    if report.problem:
        yield Trouble(
            "host_problem",
            name,
            f"it can't work: {one_line(report.problem)}",
            f"put that right; its log says more: {log('maglica-host-worker')}",
        )
    if report.libvirt_error:
        yield Trouble(
            "libvirt",
            name,
            f"its libvirtd is silent: {one_line(report.libvirt_error)}",
            f"look at libvirtd there: {log('libvirtd')}",
        )
    for problem in report.problems:
        yield Trouble(
            "unread",
            name,
            one_line(problem),
            "look at that there; all else of this host is read",
            wrong=False,
        )
    yield from _of_pools(name, report)
    if report.leftovers:
        count = len(report.leftovers)
        files = "1 file looks" if count == 1 else f"{count} files look"
        yield Trouble(
            "leftovers",
            name,
            f"{files} like Maglica's, and nothing shows it to be so",
            f"maglica host list --host {name} says which, and how they are removed",
            wrong=False,
        )


def _of_pools(name: str, report: HostReport) -> Iterator[Trouble]:
    # Without an answer of its libvirtd nobody knows which it has.
    is_known = not (report.problem or report.libvirt_error)
    if is_known and all(pool.shared is not None for pool in report.pools):
        reasons = some(list(_unusable(report)), "; ")
        yield Trouble(
            "no_pool",
            name,
            "no vm can be made on it: " + (reasons or "it has no storage pool"),
            "start one there (virsh pool-start POOL), have one made (maglica_pool, libvirtd_pools),"
            " or allow one that is there (host_worker_pools)",
        )
    for pool in report.pools:
        if is_nearly_full(pool):
            yield Trouble(
                "pool_full",
                name,
                f"its pool {one_line(pool.name)} is nearly full: {sizes.about(pool.free_bytes)} of"
                f" {sizes.about(pool.capacity_bytes)} are free",
                "remove vms or bases (maglica vm remove, maglica image release), or make it larger",
                # No vm and no base is made on what hosts share: it may be a full store of others'.
                wrong=pool.shared is None,
            )


def _unusable(report: HostReport) -> Iterator[str]:
    """Yield why each pool of a host is none for vms' disks."""
    shared = {pool.name: pool.shared for pool in report.pools}
    states = {state.name: state.active for state in report.pool_states}
    for name in sorted({*shared, *states}):
        pool = f"its pool {one_line(name)}"
        if name in shared:
            yield f"{pool} is on {shared[name]}, which other hosts may see too"
        elif states[name]:
            yield f"{pool} is not one of files, or host_worker_pools leaves it out"
        else:
            yield f"{pool} is not active"


def is_nearly_full(pool: PoolSummary) -> bool:
    return pool.free_bytes < pool.capacity_bytes * FREE_PART


def _of_versions(
    hosts: Sequence[HostStatus], client_worker: ClientWorkerStatus | None
) -> Iterator[Trouble]:
    """Yield whose version is not the client worker's; one that says none is older than that."""
    todo = "run the playbook maglica.cloud.upgrade; until then they work together as far as both go"
    if client_worker is None:
        yield Trouble(
            "version",
            None,
            "the client worker is of a version that does not tell which one it is",
            todo,
        )
        return
    for status in hosts:
        if not status.alive or status.worker_version == client_worker.version:
            continue
        other = f"has version {status.worker_version}"
        if status.worker_version is None:
            other = "is of a version that does not tell which one it is"
        text = f"its host worker {other}, the client worker has version {client_worker.version}"
        yield Trouble("version", status.host, text, todo)


def _of_requests(open_requests: Sequence[Request], now: float) -> Iterator[Trouble]:
    for request in open_requests:
        if now - request.created < OPEN_SECONDS:
            continue
        phase = f", in its phase {one_line(request.phase)}" if request.phase else ""
        yield Trouble(
            "request_open",
            request.host,
            f"request {request.id} ({request.kind} {one_line(request.name)}) is open for"
            f" {lasting(now - request.created)}{phase}",
            f"maglica request show {request.id}; maglica request cancel {request.id} ends it",
        )


def _of_images(hosts: Sequence[HostStatus]) -> Iterator[Trouble]:
    """Yield the images that Maglica made on some hosts and that others lack."""
    alive = [status for status in hosts if status.alive]
    made = {image.name for status in alive for image in status.report.images if image.made}
    for name in sorted(made):
        missing = [
            status.host
            for status in alive
            if not any(each.name == name and each.is_image for each in status.report.domains)
        ]
        if missing:
            yield Trouble(
                "image_missing",
                None,
                f"image {one_line(name)} is not on {', '.join(missing)}",
                "where its clones shall run there, too, add it to them (maglica image add)",
                wrong=False,
            )


def log(unit: str) -> str:
    """Return the command that shows what a service has said last."""
    return f"journalctl -u {unit} -n 50"


def lasting(seconds: float) -> str:
    """Return how long something lasts, for people."""
    seconds = max(0, round(seconds))
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // part} {smaller}"
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
