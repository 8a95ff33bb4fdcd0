# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files come whole, or there is one clear error, whatever the server does."""

from __future__ import annotations

import hashlib
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from maglica.model.errors import ChecksumDiffers, DownloadFailed, NoRoom, StorageFailed
from maglica.system import download
from maglica.system.download import CHUNK
from support.fetched import DATA, HALF, HURRY, IMPATIENT, PATH, SIZE, Fetched
from support.small_disk import small_disk
from support.web_server import Handler


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_file(fetch: Fetched, algorithm: str) -> None:
    assert fetch(algorithm=algorithm) == SIZE
    assert fetch.path.read_bytes() == DATA
    assert fetch.path.stat().st_mode & 0o777 == 0o600
    assert fetch.told[-1] == (SIZE, SIZE)
    assert fetch.site.asked() == [None]


def test_an_empty_file(fetch: Fetched) -> None:
    assert fetch(data=b"") == 0
    assert fetch.site.requests == []


def test_what_is_there_is_not_fetched_again(fetch: Fetched) -> None:
    fetch.path.write_bytes(DATA)
    assert fetch() == SIZE
    assert fetch.site.requests == []
    assert fetch.told[-1] == (SIZE, None)


def test_a_file_without_a_length(fetch: Fetched) -> None:
    def in_chunks(handler: Handler) -> None:
        handler.begin(200, Transfer_Encoding="chunked")
        for start in range(0, SIZE, 1 << 19):
            chunk = DATA[start : start + (1 << 19)]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        handler.wfile.write(b"0\r\n\r\n")

    def until_the_end(handler: Handler) -> None:
        handler.begin(200)
        handler.wfile.write(DATA)

    for answer in (in_chunks, until_the_end):
        fetch.path.unlink(missing_ok=True)
        fetch.site.answers = {PATH: answer}
        assert fetch() == SIZE


def test_another_file(fetch: Fetched) -> None:
    fetch.site.files[PATH] = DATA[:-1] + b"x"
    with pytest.raises(ChecksumDiffers, match="is not what was wanted: its sha256 is ") as caught:
        fetch()
    assert fetch.site.url + PATH in str(caught.value)
    assert hashlib.sha256(DATA).hexdigest() in str(caught.value)
    assert len(fetch.site.requests) == 1


def test_a_page_instead_of_the_file(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=6, Content_Type="text/html; charset=utf-8\x07")
        handler.wfile.write(b"<html>")

    fetch.site.answers = {PATH: answer}
    with pytest.raises(
        ChecksumDiffers, match=r"; the server calls it text/html; charset"
    ) as caught:
        fetch()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("length", [SIZE - 1, SIZE // 3])
def test_a_length_that_is_too_small(fetch: Fetched, length: int) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=length)
        handler.wfile.write(DATA)

    fetch.site.answers = {PATH: answer}
    with pytest.raises(ChecksumDiffers):
        fetch()
    assert fetch.path.stat().st_size == length


def test_a_length_that_is_too_large(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        start = handler.asked_from(None)
        headers = {"Content_Range": f"bytes {start}-{SIZE}/{SIZE + 1}"} if start else {}
        handler.begin(206 if start else 200, Content_Length=SIZE + 1 - start, **headers)
        handler.wfile.write(DATA[start:])

    fetch.site.answers = {PATH: answer}
    fetch.fails(f"the connection ended after {SIZE} of {SIZE + 1} bytes")
    assert fetch.path.read_bytes() == DATA
    assert len(fetch.site.requests) == 4


@pytest.mark.parametrize("length", ["-1", "many", "9" * 30])
def test_a_length_that_is_none(fetch: Fetched, length: str) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=length)
        handler.wfile.write(DATA)

    fetch.site.answers = {PATH: answer}
    if length.startswith("9"):
        fetch.fails("it is longer than the 1073741824 bytes that it may have")
    else:
        assert fetch() == SIZE


def test_a_file_that_is_too_long(fetch: Fetched) -> None:
    fetch.fails(f"it is longer than the {SIZE - 1} bytes that it may have", most=SIZE - 1)
    assert fetch.path.stat().st_size == 0
    assert len(fetch.site.requests) == 1


def test_a_server_that_never_ends(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(200)
        while True:
            handler.wfile.write(bytes(1 << 20))

    fetch.site.answers = {PATH: answer}
    fetch.fails("it is longer than the 4194304 bytes", most=4 << 20)
    assert fetch.path.stat().st_size <= 4 << 20


def test_a_server_that_stops_half_way(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        handler.send_file(DATA, HALF)
        # Until the client goes away.
        handler.rfile.read()

    fetch.site.answers = {PATH: answer}
    fetch.fails("nothing came for 0.5 s", patience=IMPATIENT)
    # Each time that nothing came it was told that this goes on.
    assert len(fetch.told) >= IMPATIENT.tries
    # What came is kept, and the rest was asked for.
    assert DATA.startswith(fetch.path.read_bytes())
    assert fetch.site.asked()[-1] == f"bytes={fetch.path.stat().st_size}-"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", [1, 1 << 14])
@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
        (CHUNKED + b"1;", b"x"),
    ],
)
def test_what_never_comes_to_the_file(fetch: Fetched, begin: bytes, more: bytes, size: int) -> None:
    """Drop by drop, and as much as the network takes."""

    def answer(handler: Handler) -> None:
        handler.connection.settimeout(0.01 if size == 1 else 60)
        with suppress(OSError):
            handler.wfile.write(begin)
            while True:
                handler.wfile.write(more * size)
                with suppress(TimeoutError):
                    if size == 1 and not handler.connection.recv(1):
                        return

    fetch.site.answers = {PATH: answer}
    said = "less than 4096 bytes came" if size == 1 else "more came|got more than|is not what"
    fetch.fails(said, patience=IMPATIENT)


def test_a_server_that_sends_drop_by_drop(fetch: Fetched) -> None:
    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=SIZE)
        handler.connection.settimeout(0.01)
        for byte in DATA:
            handler.wfile.write(bytes([byte]))
            # The client says nothing more: this is the pause between two drops.
            with suppress(TimeoutError):
                handler.connection.recv(1)

    fetch.site.answers = {PATH: answer}
    fetch.fails("less than 4096 bytes came in 0.5 s", patience=IMPATIENT)


@pytest.mark.parametrize(
    ("answer", "cause", "times"),
    [
        (lambda handler: handler.send_error(404), "the server answers 404 Not Found", 1),
        (lambda handler: handler.send_error(403), "the server answers 403 Forbidden", 1),
        (lambda handler: handler.send_error(410, "a\x1b[2J"), r"answers 410 a\\x1b\[2J", 1),
        (lambda handler: handler.begin(204), "the server answers 204", 1),
        (lambda handler: handler.begin(304), "the server answers 304 Not Modified", 1),
        (lambda handler: handler.begin(302), "the server answers 302 Found", 1),
        (lambda handler: handler.send_error(416), "the server answers 416", 1),
        (lambda handler: handler.wfile.write(b"220 mail\r\n"), "220 mail", 1),
        (lambda handler: handler.wfile.write(b""), "closed connection without response", 1),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200), "100", 1),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 " + b"2" * 70000), "got more than", 1),
    ],
)
def test_an_answer_that_is_none(fetch: Fetched, answer: object, cause: str, times: int) -> None:
    fetch.site.answers = {PATH: answer}  # type: ignore[dict-item]
    said = fetch.fails(cause)
    assert said.startswith(f"cannot fetch {fetch.site.url}{PATH}: ")
    assert len(fetch.site.requests) == times
    assert fetch.path.stat().st_size == 0


def test_a_server_that_is_too_busy_for_a_moment(fetch: Fetched) -> None:
    turns = iter(["busy", "half", "busy", "busy", "rest"])

    def answer(handler: Handler) -> None:
        turn = next(turns)
        if turn == "busy":
            handler.send_error(503)
        else:
            handler.send_file(DATA, HALF if turn == "half" else None)

    fetch.site.answers = {PATH: answer}
    assert fetch() == SIZE
    assert fetch.site.asked() == [None, None] + 3 * [f"bytes={HALF}-"]


def test_a_server_that_is_always_too_busy(fetch: Fetched) -> None:
    fetch.site.answers = {PATH: lambda handler: handler.send_error(503)}
    fetch.fails("the server answers 503 Service Unavailable")
    assert len(fetch.site.requests) == HURRY.tries


def test_no_server(fetch: Fetched) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/a?token=secret"
        said = fetch.fails("Connection refused", url=url)
    assert "secret" not in said


def test_a_full_disk(fetch: Fetched, tmp_path_factory: pytest.TempPathFactory) -> None:
    with small_disk(tmp_path_factory.mktemp("full") / "disk", 8) as disk:
        fetch.path = disk.path / "part"
        fetch.path.write_bytes(DATA[:HALF])
        disk.fill()
        with pytest.raises(NoRoom, match="part can't be written: No space left on device"):
            fetch()
        disk.empty()
        assert fetch() == SIZE


def test_what_is_no_file(fetch: Fetched) -> None:
    fetch.path = Path("/dev/zero")
    with pytest.raises(StorageFailed, match=r"^/dev/zero can't be written: "):
        fetch(most=CHUNK)


def test_a_file_that_can_not_be_made(fetch: Fetched, tmp_path: Path) -> None:
    fetch.path = tmp_path / "missing" / "part"
    with pytest.raises(StorageFailed, match="part can't be written: No such file or directory"):
        fetch()
    fetch.path = Path("/proc/self/exe")
    with pytest.raises(StorageFailed, match="can't be written: Too many levels of symbolic links"):
        fetch()


def test_a_small_file_into_memory(fetch: Fetched) -> None:
    fetch.site.files["/sums"] = b"abc"
    assert download.read(f"{fetch.site.url}/sums", 3, HURRY) == b"abc"
    with pytest.raises(DownloadFailed, match="/sums: it is longer than the 2 bytes"):
        download.read(f"{fetch.site.url}/sums", 2, HURRY)
