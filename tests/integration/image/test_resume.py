# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fetch that was cut goes on where it ended, or from the beginning where that must be."""

from __future__ import annotations

import itertools

import pytest
from maglica.model.errors import ChecksumDiffers
from support.fetched import DATA, HALF, PATH, SIZE, Fetched
from support.web_server import Handler


def cut_at(*places: int, data: bytes = DATA, tag: bool = True) -> dict[str, object]:
    """Return an answer that is cut off at these places, one after the other, and then is not."""
    left = itertools.chain(places, itertools.repeat(None))
    return {PATH: lambda handler: handler.send_file(data, next(left), tag)}


@pytest.mark.parametrize("tag", [True, False])
def test_it_goes_on_after_a_cut(fetch: Fetched, tag: bool) -> None:
    fetch.site.answers = cut_at(HALF, HALF + 5000, tag=tag)  # type: ignore[assignment]
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [None, f"bytes={HALF}-", f"bytes={HALF + 5000}-"]
    marks = fetch.site.asked("if-range")
    assert marks[0] is None
    assert all(mark and mark.startswith('"') is tag for mark in marks[1:])


def test_it_goes_on_after_more_cuts_than_tries_if_each_brings_something(fetch: Fetched) -> None:
    places = range(100_000, 2_000_000, 100_000)
    fetch.site.answers = cut_at(*places)  # type: ignore[assignment]
    assert fetch() == SIZE
    assert len(fetch.site.requests) == len(places) + 1


def test_a_cut_within_a_chunk_of_the_transfer(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        if len(fetch.site.requests) > 1:
            handler.send_file(DATA)
            return
        handler.begin(200, Transfer_Encoding="chunked")
        handler.wfile.write(b"%x\r\n%s" % (SIZE, DATA[:HALF]))

    fetch.site.answers = {PATH: answer}
    assert fetch() == SIZE
    assert fetch.site.asked() == [None, f"bytes={HALF}-"]


def test_a_later_call_goes_on_where_an_earlier_one_was_killed(fetch: Fetched) -> None:
    fetch.path.write_bytes(DATA[:HALF])
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [f"bytes={HALF}-"]
    # What was kept is counted, since it is hashed again.
    assert (HALF, None) in fetch.told


def test_what_was_kept_of_another_version_is_fetched_again(fetch: Fetched) -> None:
    fetch.path.write_bytes(b"x" * HALF)
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [f"bytes={HALF}-", None]


@pytest.mark.parametrize(
    "kept", [DATA[:-1] + b"x", DATA + b"x", b"x" * (2 * SIZE)], ids=["wrong", "long", "very long"]
)
def test_what_was_kept_is_too_long_or_wrong(fetch: Fetched, kept: bytes) -> None:
    fetch.path.write_bytes(kept)
    assert fetch(most=SIZE) == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked()[-1] is None


def test_a_file_that_changes_between_two_answers_begins_anew(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        if len(fetch.site.requests) == 1:
            handler.send_file(b"y" * SIZE, HALF)
        else:
            handler.send_file(DATA)

    fetch.site.answers = {PATH: answer}
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [None, f"bytes={HALF}-"]


def test_a_file_that_changes_unseen_is_fetched_again(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        is_first = len(fetch.site.requests) == 1
        data = b"y" * SIZE if is_first else DATA
        handler.send_file(data, HALF if is_first else None, tag=False, date=False)

    fetch.site.answers = {PATH: answer}
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [None, f"bytes={HALF}-", None]
    assert fetch.site.asked("if-range") == [None] * 3


def test_another_file_is_not_fetched_for_ever(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        is_whole = handler.headers.get("Range") is not None
        handler.send_file(b"y" * SIZE, None if is_whole else HALF, tag=False, date=False)

    fetch.site.answers = {PATH: answer}
    with pytest.raises(ChecksumDiffers, match="is not what was wanted"):
        fetch()
    assert len(fetch.site.requests) == 4


def test_a_server_that_knows_no_ranges_begins_anew(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=SIZE)
        handler.wfile.write(DATA[: HALF if len(fetch.site.requests) == 1 else None])

    fetch.site.answers = {PATH: answer}
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize(
    "said",
    [
        f"bytes 0-{SIZE - 1}/{SIZE}",
        f"bytes {HALF + 1}-{SIZE - 1}/{SIZE}",
        f"bytes {HALF}-{SIZE}/{SIZE + 1}",
        f"bytes {HALF}-{SIZE - 1}/*",
        f"bytes {HALF}-{HALF}/{HALF}",
        f"items {HALF}-{SIZE - 1}/{SIZE}",
        "",
    ],
)
def test_a_part_that_was_not_asked_for_is_not_taken(fetch: Fetched, said: str) -> None:
    def answer(handler: Handler) -> None:
        if handler.headers.get("Range") is None:
            handler.send_file(DATA, HALF if len(fetch.site.requests) == 1 else None)
            return
        handler.begin(206, Content_Range=said, Content_Length=SIZE - HALF)
        handler.wfile.write(DATA[HALF:])

    fetch.site.answers = {PATH: answer}
    assert fetch() == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.site.asked() == [None, f"bytes={HALF}-", None]


def test_a_part_without_being_asked_for_one(fetch: Fetched) -> None:
    fetch.site.answers = {PATH: lambda handler: handler.begin(206, Content_Length=0)}
    fetch.fails(f"^cannot fetch {fetch.site.url}{PATH}: the server answers 206$")
