# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on a web server, and a fetch of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from maglica.model.errors import DownloadFailed
from maglica.system import download
from maglica.system.backoff import Backoff
from maglica.system.download import CHUNK, Patience
from support.web_server import Site

# More than is read at once, and nothing in it comes twice.
DATA = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(3 * CHUNK // 32 + 100))
SIZE = len(DATA)
HALF = SIZE // 2
MOST = 1 << 30
HURRY = Patience(silence=5, tries=3, pauses=Backoff(0.001, 0.001))
IMPATIENT = Patience(silence=0.5, tries=2, pauses=Backoff(0.001, 0.001))
PATH = "/images/a.qcow2"


class Fetched:
    """A fetch into a file, and what it told on its way."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.path = folder / "part"
        self.told: list[tuple[int, int | None]] = []

    def __call__(
        self,
        url: str | None = None,
        data: bytes = DATA,
        most: int = MOST,
        patience: Patience = HURRY,
        algorithm: str = "sha256",
    ) -> int:
        return download.fetch(
            url or self.site.url + PATH,
            self.path,
            algorithm=algorithm,
            digest=hashlib.new(algorithm, data).hexdigest(),
            most=most,
            progress=lambda done, total: self.told.append((done, total)),
            patience=patience,
        )

    def fails(self, problem: str, **options: object) -> str:
        with pytest.raises(DownloadFailed, match=problem) as caught:
            self(**options)  # type: ignore[arg-type]
        assert str(caught.value).isprintable()
        return str(caught.value)
