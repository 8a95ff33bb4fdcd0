# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps strangers from filling the log: what they cause often is logged now and then."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable

SECONDS = 1.0


class LogLimit:
    """Warnings to ``logger``, of each cause one in ``SECONDS``; it tells how many it stands for.

    There must be few causes, whatever strangers send: none of their words are in one.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._next: dict[str, float] = {}
        self._held_back: Counter[str] = Counter()

    def warning(self, cause: str, text: str) -> None:
        """Log ``text``, unless there was another of the same cause just now."""
        now = self._clock()
        if now < self._next.get(cause, -math.inf):
            self._held_back[cause] += 1
            return
        self._next[cause] = now + SECONDS
        held_back = self._held_back.pop(cause, 0)
        others = f" (after {held_back} others like it that are not logged)" if held_back else ""
        self._logger.warning("%s%s", text, others)
