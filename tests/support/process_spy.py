# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for marks in the arguments and environments of all processes, as other users could."""

from __future__ import annotations

import threading
from pathlib import Path


class ProcessSpy:
    """Use as a context manager; ``seen`` names where a mark was found, ``looks`` all processes."""

    def __init__(self, *marks: bytes) -> None:
        self._marks = marks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: set[str] = set()
        self.looks: set[int] = set()

    def __enter__(self) -> ProcessSpy:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.03):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    self._look(int(entry.name))

    def _look(self, process: int) -> None:
        for name in ("cmdline", "environ"):
            try:
                text = Path(f"/proc/{process}/{name}").read_bytes()
            except OSError:
                continue
            self.looks.add(process)
            if any(mark in text for mark in self._marks):
                self.seen.add(f"{name} of {text[:60]!r}")
