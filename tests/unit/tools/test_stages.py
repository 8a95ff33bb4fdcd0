# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of stages beside each other, with a Makefile of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.client_worker import eventually
from tools import stages

# Without tabs: Make takes any character instead.
MAKEFILE = """
.RECIPEPREFIX = >
good:
> @echo '=== 3 passed, 1 skipped in 0.10s ==='
more:
> @echo 'lint: 9 passed in 2 s'
> @echo '2 passed, 1 failed in 0.20s'
bad:
> @echo 'it is bad'; exit 1
waits:
> @touch begun; sleep 100 & echo $$! > sleeper; wait
after-it:
> @until test -s sleeper; do sleep 0.01; done; exit 1
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    monkeypatch.setattr(stages, "CHECKOUT", tmp_path)
    return tmp_path


def test_all_stages_of_all_lines_are_run_and_their_tests_counted() -> None:
    report = stages.Report()
    shown: list[str] = []
    lines = [
        stages.Line(report, {"one": "good", "two": "more"}, shown.append),
        stages.Line(report, {"three": "good"}, shown.append),
    ]
    assert stages.run(*lines) is None
    assert report.seconds.keys() == {"one", "two", "three"}
    assert report.counts == {"passed": 8, "failed": 1, "skipped": 2}
    assert shown.count("=== 3 passed, 1 skipped in 0.10s ===\n") == 2


def test_a_stage_that_fails_ends_its_line_and_the_others(checkout: Path) -> None:
    report = stages.Report()
    shown: list[str] = []
    lines = [
        stages.Line(report, {"long": "waits", "never": "good"}, shown.append),
        stages.Line(report, {"broken": "after-it", "never": "good"}, shown.append),
    ]
    assert stages.run(*lines) == "broken"
    assert "never" not in report.seconds
    # What it had started ends with it.
    sleeper = Path("/proc", (checkout / "sleeper").read_text().strip(), "stat")
    eventually(lambda: state_of(sleeper) in ("gone", "Z"))


def state_of(process: Path) -> str:
    try:
        return process.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def test_the_summary_names_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    report = stages.Report()
    assert stages.run(stages.Line(report, {"lint": "bad"}, lambda _text: None)) == "lint"
    report.print("lint")
    assert capsys.readouterr().out.splitlines()[-2:] == ["broken: lint", "0 passed, 1 failed"]
