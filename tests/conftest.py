# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test relies on; the import paths are set in pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# The same examples each time; what is random by design is in `make test-faults`.
hypothesis.settings.register_profile("fixed", derandomize=True)
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep those together, in one process, that share what a fixture of their module has made."""
    for item in items:
        known = item._fixtureinfo.name2fixturedefs.values()
        if any(fixture.scope == "module" for each in known for fixture in each):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
