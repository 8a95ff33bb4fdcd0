# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings an original image to the wanted state on its hosts, by requests to their workers.

What is foreseen comes from the hosts' reports to the client worker, which are some seconds old.
Each host looks for itself whether there is something to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from ..model.errors import LimitExceeded, MaglicaError
from ..model.plain import plain
from ..model.request import BaseSummary, HostStatus, LookSummary, Request, new_request_id
from ..model.text import one_line, some
from ..verbs import table
from ..verbs.add_image import AddImageSpec
from ..verbs.release import ReleaseSpec
from .image_plan import Place, against, plan
from .image_wanted import WantedImage
from .outcome import failure_of, together
from .ports import OnChange, OnQuiet

# In bytes of JSON: what a message has room for beside all else of as many requests as it may have.
_XML = 1 << 19


class ImageRequests(Protocol):
    """What is needed of ``wire.client.Client``."""

    def hosts(self) -> tuple[HostStatus, ...]: ...

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]: ...

    def wait_all(
        self,
        request_ids: Sequence[str],
        timeout: float,
        on_change: OnChange | None = None,
        on_quiet: OnQuiet | None = None,
    ) -> dict[str, Request]: ...


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
        shown = {"host": host, **plain(entry)}
        found.setdefault(shown.pop("image"), []).append(shown)
    return found


def foresee(client: ImageRequests, wanted: WantedImage) -> list[Place]:
    """Return what is to do on which host.

    What a host would have against it is the error of its place. Raises what ``bring`` raises before
    anything is done.
    """
    hosts = {status.host: status for status in client.hosts()}
    places = plan(hosts.values(), wanted)
    _check_size(places)
    for place in places:
        place.error = against(place, hosts[place.host], wanted)
        place.changed = place.changed and place.error is None
    return places


def bring(
    client: ImageRequests,
    wanted: WantedImage,
    timeout: float | None,
    on_change: OnChange = lambda request: None,
    on_quiet: OnQuiet | None = None,
) -> list[Place]:
    """Do it, and wait for at most ``timeout`` seconds, None for not at all; return what was done.

    What fails on one host is that place's error, and so is why it could not be waited for. Raises,
    before anything is done, what ``image_plan.plan`` does, what the client worker has against it,
    and LimitExceeded.
    """
    places = plan(client.hosts(), wanted)
    _check_size(places)
    asked = [place for place in places if place.spec is not None]
    requests = [Request(new_request_id(), place.spec) for place in asked if place.spec]
    accepted = client.submit_all(requests) if requests else ()
    for place, request in zip(asked, accepted):
        place.request = request
        on_change(request)
    if timeout is not None and accepted:
        try:
            newest = client.wait_all(
                [request.id for request in accepted], timeout, on_change, on_quiet
            )
        except MaglicaError as error:
            # What was handed in goes on: whoever asked must get to know of it.
            for place in asked:
                place.changed, place.error = False, error
            return places
        for place, request in zip(asked, accepted):
            _end(place, newest[request.id], timeout)
    return places


def _check_size(places: Iterable[Place]) -> None:
    """Raise LimitExceeded if a message has no room for the definition that each host gets."""
    given = [place.spec.xml for place in places if isinstance(place.spec, AddImageSpec)]
    size = sum(len(json.dumps(xml)) for xml in given if xml is not None)
    if size > _XML:
        raise LimitExceeded(
            f"xml for {len(given)} hosts has {size} bytes together, and can be handed in with"
            f" {_XML}: make the image on fewer hosts at once"
        )


def failure(places: Iterable[Place]) -> MaglicaError | None:
    """Return one error for all that failed."""
    return together([place.error for place in places if place.error])


def _end(place: Place, request: Request, timeout: float) -> None:
    place.request = request
    place.error = failure_of(request, timeout)
    acting = table.of(request).acting_phase
    place.changed = any(phase.name == acting for phase in request.phases)


def shown(place: Place) -> dict[str, Any]:
    """Return what was done on a host, or would be, in the names of the module's result."""
    result: dict[str, Any] = {"host": place.host, "changed": place.changed}
    if place.request is not None:
        result["request"] = place.request.id
        if place.request.state.ended:
            result["seconds"] = round(sum(phase.seconds for phase in place.request.phases), 3)
    if place.error is not None:
        result.update(failed=True, msg=one_line(str(place.error)), code=place.error.code)
    return result


def doubt(places: Sequence[Place]) -> str | None:
    """Return of which hosts it can't be foreseen whether something is to do, if there are any."""
    hosts = [place.host for place in places if place.is_guess]
    if not hosts:
        return None
    if any(isinstance(place.spec, ReleaseSpec) for place in places):
        return (
            f"whether a base of the image on {some(hosts)} will be removed can't be told before"
            " files of others are looked at there, which may build upon it"
        )
    return (
        f"whether there will be a new version of the image on {some(hosts)} can't be told before"
        " the file or its checksum is read; it is foreseen by where the image there came from"
    )


def diff(places: Iterable[Place]) -> dict[str, dict[str, Any]]:
    """Return the image before and after on each host where that differs."""
    changed = [place for place in places if place.changed]
    return {
        "before": {place.host: place.before for place in changed},
        "after": {place.host: place.after for place in changed},
    }
