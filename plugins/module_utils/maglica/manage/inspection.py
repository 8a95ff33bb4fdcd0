# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has hosts look at the guests of images, so that it is known how clones of them are customized."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from ..model.errors import MaglicaError
from ..model.request import HostStatus, Request, State, new_request_id
from ..verbs.inspect import InspectSpec
from .images import ImageRequests
from .outcome import failure_of
from .ports import OnChange, OnQuiet

# What a host has found it reports at once; seconds.
_REPORTED_WITHIN = 10.0
_PAUSE = 0.1


def inspect(
    client: ImageRequests,
    where: Iterable[tuple[str, str]],
    timeout: float,
    on_change: OnChange = lambda request: None,
    on_quiet: OnQuiet | None = None,
) -> tuple[tuple[HostStatus, ...], list[MaglicaError]]:
    """Have hosts look at images, each a pair of host and image; wait at most ``timeout`` seconds.

    Return the hosts with what they report then, and what stood against a look. A host looks only
    where it does not know the image's present version.
    """
    asked = [Request(new_request_id(), InspectSpec(image, host)) for host, image in where]
    accepted = client.submit_all(asked) if asked else ()
    for request in accepted:
        on_change(request)
    ids = [request.id for request in accepted]
    newest = client.wait_all(ids, timeout, on_change, on_quiet) if ids else {}
    ended = [newest[request_id] for request_id in ids]
    errors = [error for each in ended if (error := failure_of(each, timeout))]
    hosts = client.hosts()
    until = time.monotonic() + _REPORTED_WITHIN
    while not _are_reported(hosts, ended) and time.monotonic() < until:
        time.sleep(_PAUSE)
        hosts = client.hosts()
    return hosts, errors


def _are_reported(hosts: Sequence[HostStatus], ended: Sequence[Request]) -> bool:
    reports = {status.host: status.report for status in hosts if status.alive}
    return all(
        reports[each.host or ""].look_at(each.name) is not None
        for each in ended
        if each.state is State.DONE and each.host in reports
    )
