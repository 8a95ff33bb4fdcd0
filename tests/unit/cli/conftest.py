# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command on two hosts in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from maglica.cli import main
from support.cli_runs import HOST0, HOST1, FakeFleet, Ran, seen
from support.fake_client import FakeClient


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    monkeypatch.setattr(FakeFleet, "domains", [*seen(HOST0), *seen(HOST1)])
    monkeypatch.setattr(FakeFleet, "silent", [])
    monkeypatch.setattr(FakeFleet, "sources", [])
    return FakeClient([HOST0, HOST1])


@pytest.fixture
def run(fake: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    path = tmp_path / "maglica.conf"
    path.write_text(
        "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
        "[host host0.example.jp]\nuri = test:///a\n[host host1.example.jp]\nuri = test:///b\n"
    )

    def run(*words: str, config: Path = path) -> Ran:
        try:
            status = main.main(["--config", str(config), *words], lambda config: fake, FakeFleet.of)
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return run
