# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.model import checks
from maglica.model.errors import MessageInvalid
from maglica.model.moment import Moment


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:00.000000Z",
        "2026-11-24T06:00:00.000001Z",
        "2199-12-31T23:59:59.999999Z",
    ],
)
def test_a_time_that_is_read_is_written_as_it_was(text: str) -> None:
    assert checks.moment(text, "p").iso == text


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59.999999Z",
        "2999-12-31T23:59:59.999999Z",
        "2200-01-01T00:00:00.000000Z",
        "2026-02-30T00:00:00.000000Z",
        "2026-11-24T24:00:00.000000Z",
        "2026-11-24T06:00:00.000000Z\n",
        "2026-11-24T06:00:00Z",
    ],
)
def test_no_other_time_is_read(text: str) -> None:
    """One that another side would refuse, coming from one host, would hide all hosts."""
    with pytest.raises(MessageInvalid, match=r"^p: no time"):
        checks.moment(text, "p")


def test_times_as_texts_have_the_order_of_the_times() -> None:
    times = [Moment(each) for each in (0, 0.000001, 1.5, 7258118399.999999)]
    assert sorted(each.iso for each in times) == [each.iso for each in times]
