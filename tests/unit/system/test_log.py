# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.model.request import Request
from maglica.system import log, log_fields
from maglica.system.log_fields import about
from maglica.verbs.clone import CloneSpec

LOGGER = logging.getLogger("maglica.x")
REQUEST = Request(id="1f", spec=CloneSpec(image="debian-12", name="vm0"), host="kvm0")
OF_REQUEST = [
    ("MAGLICA_REQUEST", "1f"),
    ("MAGLICA_VERB", "clone"),
    ("MAGLICA_NAME", "vm0"),
    ("MAGLICA_HOST", "kvm0"),
]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Leave the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def stderr_is_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


@pytest.fixture
def journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr_is_the_journal: None
) -> Iterator[socket.socket]:
    """The socket of a journal that is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "journal"))
        found.setblocking(False)
        monkeypatch.setattr(log, "JOURNAL", str(tmp_path / "journal"))
        yield found


def read(journal: socket.socket) -> list[tuple[str, str]]:
    """Return the fields of an entry, as systemd's documentation has them read."""
    rest, fields = journal.recv(1 << 20), []
    while rest:
        name, _end, rest = rest.partition(b"\n")
        assert b"=" not in name
        (length,) = struct.unpack("<Q", rest[:8])
        value, end, rest = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
        assert end == b"\n"
        fields.append((name.decode("ascii"), value.decode("utf-8")))
    return fields


def messages(journal: socket.socket) -> list[str]:
    """Return the texts of all entries that wait to be read."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(dict(read(journal))["MESSAGE"])
    return found


def test_a_record_is_one_printable_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.start("maglica-x", who="job 7")
    LOGGER.warning("guest says %s", "a\nERROR forged\x1b[2J")
    with about(REQUEST):
        LOGGER.debug("not shown")
        LOGGER.info("shown")
    said = capsys.readouterr().err
    assert said == "WARNING job 7: guest says a\\nERROR forged\\x1b[2J\nINFO job 7: shown\n"


def test_the_variable_of_another_stderr_is_not_believed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.start("maglica-x")
    LOGGER.info("text")
    assert capsys.readouterr().err == "INFO text\n"


def test_what_has_no_fields_goes_by_stderr_with_its_priority(
    journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    log.start("maglica-x", logging.DEBUG)
    for level in (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG):
        LOGGER.log(level, "text")
    said = capsys.readouterr().err.split()
    assert said == ["<3>text", "<3>text", "<4>text", "<6>text", "<7>text"]
    with pytest.raises(BlockingIOError):
        journal.recv(1)


def test_what_is_about_a_request_has_its_fields(
    journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    log.start("maglica-x", who="job 7")
    with about(REQUEST):
        LOGGER.warning("slow")
    assert read(journal) == [
        ("MESSAGE", "job 7: slow"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "maglica-x"),
        *OF_REQUEST,
    ]
    assert capsys.readouterr().err == ""


def test_a_line_can_be_about_many_requests_and_the_inner_block_holds(
    journal: socket.socket,
) -> None:
    log.start("maglica-x")
    other = replace(REQUEST, id="2f")
    with about(REQUEST, other):
        with about(host="kvm1"):
            LOGGER.info("inner")
        LOGGER.info("outer")
    assert read(journal)[3:] == [("MAGLICA_HOST", "kvm1")]
    assert read(journal)[3:] == [*OF_REQUEST, ("MAGLICA_REQUEST", "2f")]
    with about("3f", ""):
        LOGGER.info("by its id")
    assert read(journal)[3:] == [("MAGLICA_REQUEST", "3f")]


def test_no_name_and_no_text_makes_a_field_or_a_line(journal: socket.socket) -> None:
    log.start("maglica-x")
    hostile = "a\nMAGLICA_REQUEST=2f\n_UID=0\udc80"
    with about(replace(REQUEST, spec=CloneSpec(image="debian-12", name=hostile))):
        LOGGER.error(hostile)
    fields = read(journal)
    escaped = "a\\nMAGLICA_REQUEST=2f\\n_UID=0\\udc80"
    assert fields[0] == ("MESSAGE", escaped)
    assert fields[3:] == [
        (name, escaped if name == "MAGLICA_NAME" else value) for name, value in OF_REQUEST
    ]


def test_a_text_of_any_length_is_told(journal: socket.socket) -> None:
    log.start("maglica-x")
    with about(*(replace(REQUEST, id=str(number)) for number in range(250))):
        LOGGER.info("\N{GRINNING FACE}" * 100_000)
    fields = dict(read(journal))
    assert 1000 < len(fields["MESSAGE"]) < 100_000
    assert fields["MAGLICA_REQUEST"] == "249"


def test_a_journal_that_is_gone_has_all_by_stderr(
    journal: socket.socket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log.start("maglica-x")
    (tmp_path / "journal").unlink()
    with about(REQUEST):
        LOGGER.info("gone")
    assert capsys.readouterr().err == "<6>gone\n"


def test_what_a_stuck_journal_does_not_take_is_dropped_and_counted(
    journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    log.start("maglica-x")
    with about(REQUEST):
        for number in range(2000):
            LOGGER.info("%d", number)
        taken = messages(journal)
        assert taken == [str(number) for number in range(len(taken))]
        assert 0 < len(taken) < 2000
        LOGGER.info("then")
        LOGGER.info("last")
    dropped = f"(after {2000 - len(taken)} lines that the journal did not take)"
    assert messages(journal) == [f"then {dropped}", "last"]
    assert capsys.readouterr().err == ""


def test_a_stuck_journal_holds_nobody_up_at_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = socket.socketpair()
    status = os.fstat(ours.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    monkeypatch.setattr(log, "_STDERR", ours.fileno())
    with theirs, ours, ours.makefile("w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        log.start("maglica-x")
        lines = 3 * ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // log._MAX_TEXT
        said = threading.Thread(
            target=lambda: [
                LOGGER.info("\N{GRINNING FACE}" * log._MAX_TEXT) for _line in range(lines)
            ],
            daemon=True,
        )
        said.start()
        said.join(20)
        assert not said.is_alive(), "it waits for the journal"
        theirs.setblocking(False)
        taken = b""
        with suppress(BlockingIOError):
            while True:
                taken += theirs.recv(1 << 20)
        LOGGER.info("then")
        last = theirs.recv(1000).decode()
    whole = taken.decode().splitlines()
    assert set(map(len, whole)) == {len("<6>") + log._MAX_TEXT}
    dropped = lines - len(whole)
    assert dropped > 0
    assert last == f"<6>then (after {dropped} lines that the journal did not take)\n"


def test_a_text_that_can_not_be_made_is_not_the_callers(
    journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    log.start("maglica-x")
    with about(REQUEST):
        LOGGER.info("%d", "text")
        LOGGER.info("after")
    assert messages(journal) == ["after"]
    assert "--- Logging error ---" in capsys.readouterr().err


def test_another_thread_is_about_the_same_when_it_is_told_so() -> None:
    seen: list[log_fields.Fields] = []

    def look() -> None:
        seen.append(log_fields.current())

    with about(REQUEST):
        kept = log_fields.kept(look)
    for act in (kept, look):
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
    assert seen == [tuple(OF_REQUEST), ()]
