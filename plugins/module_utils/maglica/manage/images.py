# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings an original image's bases to the wanted state on its hosts, by requests to their workers.

What is foreseen comes from the hosts' reports to the client worker, which are some seconds old.
Each host looks for itself whether there is something to do.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from ..model import names
from ..model.errors import HostDown, HostUnknown, ImageUnknown, MaglicaError
from ..model.request import (
    BaseSummary,
    HostStatus,
    LookSummary,
    Request,
    new_request_id,
)
from ..verbs import table
from ..verbs.prepare import PrepareSpec
from ..verbs.release import ReleaseSpec
from ..verbs.verb import OnImage
from .outcome import failure_of


class ImageState(str, enum.Enum):
    """Whether the base of the image's present version shall be there, or no unused base at all."""

    PREPARED = "prepared"
    RELEASED = "released"

    def spec(self, image: str, host: str) -> OnImage:
        """Return what to ask of a host."""
        cls = PrepareSpec if self is ImageState.PREPARED else ReleaseSpec
        return cls(image, host)


class ImageRequests(Protocol):
    """What is needed of ``wire.client.Client``."""

    def hosts(self) -> tuple[HostStatus, ...]: ...

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]: ...

    def wait_all(
        self,
        request_ids: Sequence[str],
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
    ) -> dict[str, Request]: ...


@dataclass
class Place:
    """An image on one host: what is, or was, done there."""

    host: str
    changed: bool
    request: Request | None = None
    error: MaglicaError | None = None


@dataclass(frozen=True)
class WantedImage:
    """What shall be with the image ``name``; no ``hosts`` means all that are up and have it."""

    name: str
    state: ImageState = ImageState.PREPARED
    hosts: tuple[str, ...] = field(default=())


def bases(hosts: Iterable[HostStatus]) -> dict[str, list[dict[str, Any]]]:
    """Return the bases on all hosts, also on those that are down, by image, as plain data."""
    return _by_image((status.host, base) for status in hosts for base in status.report.bases)


def looks(hosts: Iterable[HostStatus]) -> dict[str, list[dict[str, Any]]]:
    """Return what looks at the images found on all hosts, as ``bases`` does."""
    return _by_image((status.host, look) for status in hosts for look in status.report.looks)


def leftovers(hosts: Iterable[HostStatus]) -> list[dict[str, Any]]:
    """Return what looks like Maglica's on all hosts and is not shown to be, as plain data."""
    return [
        {"host": status.host, **asdict(leftover), "command": leftover.command}
        for status in hosts
        for leftover in status.report.leftovers
    ]


def _by_image(
    entries: Iterable[tuple[str, BaseSummary | LookSummary]],
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for host, entry in entries:
        shown = {"host": host, **asdict(entry)}
        found.setdefault(shown.pop("image"), []).append(shown)
    return found


def foresee(client: ImageRequests, wanted: WantedImage) -> list[Place]:
    """Return what is to do on which host.

    Raises NameInvalid, HostUnknown, HostDown, or ImageUnknown when a host lacks the image.
    """
    names.object_name(wanted.name)
    known = {status.host: status for status in client.hosts()}
    named = [_named(known, host, wanted) for host in dict.fromkeys(wanted.hosts)]
    chosen = named or _those_with_it(known, wanted)
    return [Place(status.host, _is_to_do(status, wanted)) for status in chosen]


def bring(
    client: ImageRequests,
    wanted: WantedImage,
    timeout: float | None,
    on_change: Callable[[Request], None] = lambda request: None,
) -> list[Place]:
    """Do it, and wait for at most ``timeout`` seconds, None for not at all; return what was done.

    What fails on one host is that place's error. Raises what ``foresee`` does.
    """
    places = foresee(client, wanted)
    asked = [
        Request(new_request_id(), wanted.state.spec(wanted.name, place.host)) for place in places
    ]
    accepted = client.submit_all(asked) if asked else ()
    for place, request in zip(places, accepted):
        place.request = request
        on_change(request)
    if timeout is not None and accepted:
        newest = client.wait_all([request.id for request in accepted], timeout, on_change)
        for place, request in zip(places, accepted):
            _end(place, newest[request.id], timeout)
    return places


def _named(known: dict[str, HostStatus], host: str, wanted: WantedImage) -> HostStatus:
    act = f"cannot {wanted.state.spec(wanted.name, host).verb} image {wanted.name} on host {host}"
    if host not in known:
        raise HostUnknown(f"{act}: the client worker knows no such host")
    status = known[host]
    if not status.alive:
        raise HostDown(f"{act}: its host worker does not answer")
    if wanted.state is ImageState.PREPARED and not _has(status, wanted):
        why = "the image is running" if _runs(status, wanted.name) else "it has no such image"
        raise ImageUnknown(f"{act}: {why}")
    return status


def _those_with_it(known: dict[str, HostStatus], wanted: WantedImage) -> list[HostStatus]:
    """Return the hosts that are up and have the image, or may have bases of it to remove."""
    alive = [status for status in known.values() if status.alive]
    found = [status for status in alive if _has(status, wanted)]
    if not found and wanted.state is ImageState.PREPARED:
        active = [status.host for status in alive if _runs(status, wanted.name)]
        why = f"it is running on {' and '.join(active)}" if active else "no host that is up has it"
        raise ImageUnknown(f"cannot prepare image {wanted.name}: {why}")
    return found


def _has(status: HostStatus, wanted: WantedImage) -> bool:
    report = status.report
    if wanted.state is ImageState.RELEASED:
        known = {base.image for base in report.bases}
        if wanted.name in known.union(look.image for look in report.looks):
            return True
    return any(domain.name == wanted.name and domain.is_image for domain in report.domains)


def _runs(status: HostStatus, name: str) -> bool:
    return any(domain.name == name and domain.active for domain in status.report.domains)


def _is_to_do(status: HostStatus, wanted: WantedImage) -> bool:
    bases = [base for base in status.report.bases if base.image == wanted.name]
    if wanted.state is ImageState.RELEASED:
        refused = any(
            look.image == wanted.name and not look.customizable for look in status.report.looks
        )
        return refused or any(not base.vms for base in bases)
    return not any(base.current for base in bases)


def _end(place: Place, request: Request, timeout: float) -> None:
    place.request = request
    place.error = failure_of(request, timeout)
    acting = table.of(request).acting_phase
    place.changed = any(phase.name == acting for phase in request.phases)
