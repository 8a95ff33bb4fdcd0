# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fetched import DATA, PATH, Fetched
from support.web_server import Site, served


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web server, and no proxy before it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with served() as site:
        yield site


@pytest.fixture
def fetch(site: Site, tmp_path: Path) -> Iterator[Fetched]:
    site.files[PATH] = DATA
    fetched = Fetched(site, tmp_path)
    yield fetched
    assert [path.name for path in tmp_path.iterdir()] in ([], ["part"])
