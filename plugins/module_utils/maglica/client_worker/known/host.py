# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of one host."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..placement.candidates import Holdings
from .news import News, Told
from .reservations import Reservations


@dataclass
class Host:
    """A host. ``seen`` is the time of day, the other times are monotonic: it was ``heard``, it
    ``reported``, its report was ``kept``, and may be kept again from ``keep_from`` on.
    """

    weight: float = 1.0
    holdings: Holdings | None = None
    seen: float = 0.0
    heard: float | None = None
    reported: float | None = None
    alive: bool = False
    kept: float | None = None
    keep_from: float = 0.0
    reservations: Reservations = field(default_factory=Reservations)
    news: News = field(default_factory=News)

    def tell(self, told: Told) -> None:
        """Take in how a result leaves a vm, unless the last report was made after that."""
        if self.holdings is None or not told.ended or self.holdings.report.taken <= told.ended:
            self.news.tell(told)
