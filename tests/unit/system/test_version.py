# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version a worker says that it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.system import version

CHECKOUT = Path(__file__).resolve().parents[3]


def test_it_is_the_collection_s() -> None:
    lines = (CHECKOUT / "galaxy.yml").read_text().splitlines()
    assert f"version: {version.COLLECTION}" in lines


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("/usr/local/lib/maglica/3f2a1b9c0d1e", f"{version.COLLECTION}+3f2a1b9c0d1e"),
        ("/home/alice/cloud/plugins/module_utils", version.COLLECTION),
        ("/usr/local/lib/maglica/current", version.COLLECTION),
    ],
)
def test_where_it_was_installed_by_its_role_it_has_the_digest(folder: str, shown: str) -> None:
    assert version.own(f"{folder}/maglica/system/version.py") == shown
    assert version.own() == version.COLLECTION
