# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time: seconds since 1970 (UTC) to count with, ISO 8601 with Z where they are told."""

from __future__ import annotations

import re
from datetime import datetime, timezone

# Of one length, so that texts are in the order of the times; after 2199 a float has no
# microseconds.
PATTERN = re.compile(
    r"(?:19[7-9][0-9]|2[01][0-9]{2})-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
)


class Moment(float):
    """A point in time, in seconds since 1970 (UTC), to the microsecond."""

    def __new__(cls, seconds: float) -> Moment:
        return super().__new__(cls, round(seconds, 6))

    @classmethod
    def of(cls, text: str) -> Moment:
        """Read what ``iso`` has written. Raises ValueError."""
        if PATTERN.fullmatch(text):
            read = cls(datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc).timestamp())
            if read.iso == text:
                return read
        raise ValueError(f"{text[:40]!r} is not a time such as 2026-11-24T06:00:00.000000Z")

    @property
    def iso(self) -> str:
        """The time as text, as in 2026-11-24T06:00:00.000000Z."""
        text = datetime.fromtimestamp(self, timezone.utc).isoformat(timespec="microseconds")
        return text.replace("+00:00", "Z")


NEVER = Moment(0)
# 2200: from here on there is no text for a time.
END = Moment(7258118400)
