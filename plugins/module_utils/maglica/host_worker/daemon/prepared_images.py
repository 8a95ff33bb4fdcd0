# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images a host prepares by itself, because its configuration names them; pure.

It asks this of itself by requests as all others are, of which the client worker knows nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...model.request import Request, new_request_id
from ...system.backoff import Backoff
from ...verbs.prepare import PrepareSpec

# Who asks: no key's owner can have a name with a space.
OWN = "host worker"
PAUSES = Backoff(60.0, 3600.0)


class Keeper:
    """Remembers when it asked for what; times are monotonic seconds, given by the caller."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._tries: dict[str, tuple[float, int]] = {}

    def requests(
        self, images: Sequence[str], under_way: Collection[str], now: float
    ) -> list[Request]:
        """Return what to ask for now.

        ``images`` lack a base of their present version; ``under_way`` are those that requests are
        preparing already. After a failure the pauses grow.
        """
        self._tries = {name: self._tries[name] for name in self._tries if name in images}
        found = []
        for image in images:
            not_before, times = self._tries.get(image, (now, 0))
            if image in under_way or now < not_before:
                continue
            self._tries[image] = now + PAUSES.pause(times), times + 1
            spec = PrepareSpec(image, self._host)
            found.append(Request(new_request_id(), spec, host=self._host, who=OWN))
        return found
