# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from faults import kills
from faults.frame import Run


class Instant:
    """Everybody in a run whose requests end in the moment in which they may be handed in."""

    def __init__(self, requests: int) -> None:
        self.folder = Path("instant")
        self.names = {f"r{number}": f"vm{number}" for number in range(requests)}
        self.allowed = requests
        self.library = self
        self.at: list[int] = []
        self.looks = 0

    def start(self) -> None:
        pass

    start_library = start

    def allow(self, count: int) -> None:
        self.allowed = count

    def ended(self) -> dict[str, str]:
        return dict.fromkeys([*self.names][: self.allowed], "done")

    def poll(self) -> int | None:
        self.looks += 1
        return 0 if self.looks > 1 and self.allowed == len(self.names) else None

    def kill(self, victim: str, number: int) -> bool:
        self.at.append(self.allowed)
        # One who is not there, at every other time.
        return len(self.at) % 2 == 0


@pytest.mark.parametrize(("requests", "wanted"), [(48, 4), (12, 5), (1000, 2)])
def test_requests_wait_for_kills(
    requests: int, wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills.time, "sleep", lambda _seconds: None)
    them = Instant(requests)
    found = kills.mayhem(Run("kills", True, 1, tmp_path), them, wanted)
    assert found.killed.total() == wanted
    # Spread over the requests; some are left for the last kill.
    assert them.at == sorted(them.at)
    assert len({*them.at}) == wanted
