# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to do for an image on which host, by what the hosts have reported. Pure.

Reports are some seconds old. Each host looks for itself whether there is something to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..image.checksum import Checksum
from ..model.errors import (
    GuestUnsupported,
    HostDown,
    HostUnknown,
    ImageRunning,
    ImageUnknown,
    MaglicaError,
    NameTaken,
    NotOwn,
)
from ..model.request import HostStatus, ImageSummary, Request
from ..model.text import some
from ..verbs.prepare import PrepareSpec
from ..verbs.release import ReleaseSpec
from ..verbs.remove_image import RemoveImageSpec
from ..verbs.verb import OnImage
from .image_wanted import ImageState, WantedImage


@dataclass
class Place:
    """An image on one host: what is, or was, done there.

    ``spec`` is what to ask of it, None for nothing. ``before`` and ``after`` are plain data.
    ``is_guess``: whether something is to do only the host can tell.
    """

    host: str
    changed: bool
    before: Any
    after: Any
    spec: OnImage | None = None
    is_guess: bool = False
    request: Request | None = None
    error: MaglicaError | None = None


def plan(hosts: Iterable[HostStatus], wanted: WantedImage) -> list[Place]:
    """Return what is to do on each host that is meant.

    Raises HostUnknown, HostDown, ImageUnknown where an image that must be there is not,
    ImageRunning where it is on, and for a domain that Maglica did not make NameTaken, or NotOwn
    where it shall be absent.
    """
    known = {status.host: status for status in hosts}
    named = [_named(known, host, wanted) for host in wanted.hosts]
    judge = _JUDGES[wanted.state]
    return [judge(status, wanted) for status in named or _all(known.values(), wanted)]


def against(place: Place, status: HostStatus, wanted: WantedImage) -> MaglicaError | None:
    """Return what its host would have against a change, as far as that is reported."""
    if not place.changed or place.is_guess:
        return None
    cannot, state = wanted.cannot(status.host), wanted.state
    if state in (ImageState.PRESENT, ImageState.ABSENT) and _runs(status, wanted.name):
        return ImageRunning(f"{cannot}: it is running: shut it down")
    vms = sum(base.vms for base in status.report.bases if base.image == wanted.name)
    if state is ImageState.ABSENT and vms:
        return NotOwn(f"{cannot}: {vms} vms there build upon it")
    look = status.report.look_at(wanted.name)
    if state is ImageState.PREPARED and look and look.current and not look.customizable:
        return GuestUnsupported(f"{cannot}: {look.reason}")
    return None


def _named(known: dict[str, HostStatus], host: str, wanted: WantedImage) -> HostStatus:
    if host not in known:
        raise HostUnknown(f"{wanted.cannot(host)}: the client worker knows no such host")
    status = known[host]
    if not status.alive:
        raise HostDown(
            f"{wanted.cannot(host)}: its host worker does not answer; look there at"
            " `systemctl status maglica-host-worker`"
        )
    if wanted.state is ImageState.PREPARED and not _has(status, wanted):
        if _runs(status, wanted.name):
            raise ImageRunning(f"{wanted.cannot(host)}: it is running: shut it down")
        raise ImageUnknown(f"{wanted.cannot(host)}: it has no such image")
    return status


def _all(known: Iterable[HostStatus], wanted: WantedImage) -> list[HostStatus]:
    """Return the hosts that are meant when none is named."""
    alive = [status for status in known if status.alive]
    if wanted.state is ImageState.PRESENT:
        if not alive:
            raise HostDown(f"{wanted.cannot()}: no host is up")
        return alive
    found = [status for status in alive if _has(status, wanted)]
    if not found and wanted.state is ImageState.PREPARED:
        raise not_there(wanted.cannot(), wanted.name, alive)
    return found


def not_there(cannot: str, name: str, alive: Iterable[HostStatus]) -> MaglicaError:
    """Return why none of the hosts that are up has an image of that name: it may be running."""
    active = [status.host for status in alive if _runs(status, name)]
    if active:
        return ImageRunning(f"{cannot}: it is running on {some(active)}: shut it down")
    return ImageUnknown(f"{cannot}: no host that is up has it")


def _has(status: HostStatus, wanted: WantedImage) -> bool:
    report = status.report
    if wanted.state is ImageState.RELEASED:
        known = {base.image for base in report.bases}
        if wanted.name in known.union(look.image for look in report.looks):
            return True
    if wanted.state is ImageState.ABSENT and _made(status, wanted.name):
        return True
    return any(domain.name == wanted.name and domain.is_image for domain in report.domains)


def _runs(status: HostStatus, name: str) -> bool:
    return any(domain.name == name and domain.active for domain in status.report.domains)


def _made(status: HostStatus, name: str) -> ImageSummary | None:
    """Return the image of that name that Maglica made on a host."""
    images = status.report.images
    return next((image for image in images if image.name == name and image.made), None)


def _present(status: HostStatus, wanted: WantedImage) -> Place:
    spec = wanted.on(status.host)
    origin = spec.origin
    there = _made(status, wanted.name)
    if there is None and any(each.name == wanted.name for each in status.report.domains):
        raise NameTaken(
            f"{wanted.cannot(status.host)}: it has a domain of that name, which Maglica did not"
            " make as an image"
        )
    expected = origin.checksum
    is_known = isinstance(expected, Checksum) and _comparable(there, expected)
    if is_known or there is None:
        changed = there is None or there.checksum != str(expected)
    else:
        changed = there.origin != origin.shown
    shown = spec.without_secrets().checksum or f"that of {origin.shown}"
    after = {"checksum": shown, "origin": origin.shown}
    is_guess = there is not None and not is_known
    return Place(status.host, changed, _shown(there), after, spec, is_guess)


def _comparable(there: ImageSummary | None, expected: Checksum) -> bool:
    """Say whether what is recorded of an image is a checksum of that kind."""
    recorded = "" if there is None or there.checksum is None else there.checksum
    return recorded.startswith(f"{expected.algorithm}:")


def _shown(image: ImageSummary | None) -> dict[str, str | None]:
    if image is None:
        return {"checksum": None, "origin": None}
    return {"checksum": image.checksum, "origin": image.origin}


def _absent(status: HostStatus, wanted: WantedImage) -> Place:
    there = _made(status, wanted.name)
    if there is None and _has(status, wanted):
        raise NotOwn(
            f"{wanted.cannot(status.host)}: Maglica did not make it; who did, may undefine it"
        )
    spec = None if there is None else RemoveImageSpec(wanted.name, status.host, there.uuid)
    return Place(status.host, there is not None, _shown(there), _shown(None), spec)


def _prepared(status: HostStatus, wanted: WantedImage) -> Place:
    bases = [base for base in status.report.bases if base.image == wanted.name]
    spec = PrepareSpec(wanted.name, status.host)
    looks = [look for look in status.report.looks if look.image == wanted.name]
    ways = {look.way for look in looks if look.current}
    is_to_do = not any(base.current and (not ways or base.way in ways) for base in bases)
    return Place(status.host, is_to_do, "not prepared", "prepared", spec)


def _released(status: HostStatus, wanted: WantedImage) -> Place:
    looks = [look for look in status.report.looks if look.image == wanted.name]
    bases = [base for base in status.report.bases if base.image == wanted.name]
    is_idle = any(not base.vms for base in bases)
    spec = ReleaseSpec(wanted.name, status.host)
    place = Place(status.host, is_idle or bool(looks), "prepared", "not prepared", spec)
    # A file of others that builds upon a base, which then stays, no report shows.
    place.is_guess = is_idle and not looks
    return place


_JUDGES = {
    ImageState.PRESENT: _present,
    ImageState.ABSENT: _absent,
    ImageState.PREPARED: _prepared,
    ImageState.RELEASED: _released,
}
