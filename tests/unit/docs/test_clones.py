# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/clones.md against the code: the ways, and the keys of user data that are refused."""

from __future__ import annotations

import re
from pathlib import Path

from maglica.guest.cloud_init import user_data
from maglica.model.request import Customize

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "clones.md").read_text()


def test_the_ways_are_those_of_the_code() -> None:
    (titles,) = re.findall(r"^\| \| (`.*`) \|$", DOCUMENT, re.MULTILINE)
    assert [f"`{way.value}`" for way in Customize if way is not Customize.AUTO] == titles.split(
        " | "
    )
    assert f"`{Customize.AUTO.value}`, the default" in DOCUMENT


def test_the_keys_that_are_refused_are_those_of_the_code() -> None:
    (told,) = re.findall(
        r"Keys that would undo\s+the first part are an error[^:]*:([^;]*);", DOCUMENT
    )
    assert sorted(re.findall(r"`(\w+)`", told)) == sorted(user_data._OURS)
