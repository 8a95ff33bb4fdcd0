# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test relies on; the import paths are set in pyproject.toml."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# The same examples each time; what is random by design is in `make test-faults`. How long one
# takes is up to what else runs on the machine.
hypothesis.settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("fixed")

# Below a service of systemd, programs of these tests would log for the journal.
os.environ.pop("JOURNAL_STREAM", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate", action="store_true", help="write the golden files anew; look at the diff"
    )


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout under test."""
    return Path(__file__).resolve().parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divide tests that run beside each other: what a module's tests share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsShared(LoadScopeScheduling):
        """Gives a process all tests of a file that has a module's fixture, or else one test."""

        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if _has_module_fixture(config.rootpath / path) else nodeid

    return ByWhatIsShared(config, log)


@functools.cache
def _has_module_fixture(path: Path) -> bool:
    places = [each for each in (path, path.with_name("conftest.py")) if each.is_file()]
    return any('scope="module"' in each.read_text() for each in places)
