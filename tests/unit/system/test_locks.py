# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest
from maglica.model.errors import JournalFailed
from maglica.system.locks import Lock, held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "one"


def test_one_holds_a_lock_alone(path: Path) -> None:
    with held(path), pytest.raises(BlockingIOError):
        Lock(path, wait=False)
    with held(path, wait=False):
        pass
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_who_waits_gets_it_when_it_is_free(path: Path) -> None:
    first = Lock(path)
    seconds: list[Lock] = []
    thread = threading.Thread(target=lambda: seconds.append(Lock(path)))
    thread.start()
    assert seconds == []
    first.close()
    thread.join()
    with pytest.raises(BlockingIOError):
        Lock(path, wait=False)
    seconds[0].close()


def test_some_hold_it_together(path: Path) -> None:
    with held(path) as first:
        first.share()
        with pytest.raises(BlockingIOError):
            Lock(path, wait=False)
        first.own()
    with held(path, wait=False):
        pass


@pytest.mark.parametrize("is_link", [True, False])
def test_what_can_not_be_a_lock_is_refused(path: Path, is_link: bool) -> None:
    if is_link:
        path.parent.mkdir()
        path.symlink_to("elsewhere")
    else:
        path.parent.write_text("no folder")
    with pytest.raises(JournalFailed, match=f"cannot lock {path}: "):
        Lock(path)


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    ("number", "cause"), [(errno.ENOLCK, "No locks available"), (errno.EIO, "Input/output error")]
)
def test_a_file_system_that_can_not_lock_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cause: str, wait: bool
) -> None:
    """As NFS without its lock daemon."""
    lock = Lock(path)
    opened = len(list(Path("/proc/self/fd").iterdir()))

    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for act in (lock.share, lock.own, lambda: Lock(path, wait=wait)):
        with pytest.raises(JournalFailed) as refused:
            act()
        assert str(refused.value) == f"cannot lock {path}: {cause}"
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    lock.close()


def test_a_lock_whose_time_can_not_be_set_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def utime(_descriptor: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with held(path) as lock:
        monkeypatch.setattr(os, "utime", utime)
        with pytest.raises(JournalFailed, match=f"^cannot touch {path}: Read-only file system$"):
            lock.touch()


def test_who_waits_tells_of_it(path: Path) -> None:
    first = Lock(path)
    told: list[int] = []

    def waiting() -> None:
        told.append(1)
        if len(told) == 2:
            first.close()

    with held(path, waiting=waiting) as second:
        assert len(told) >= 2
        with pytest.raises(BlockingIOError):
            Lock(path, wait=False, waiting=waiting)
        before = len(told)
        second.share()
        second.own()
        assert len(told) == before


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), KeyError("x")])
def test_what_the_one_who_is_told_raises_is_no_failure_of_the_lock(
    path: Path, error: Exception
) -> None:
    """As a worker that is gone: its job is to be done by another one, and has not failed."""

    def waiting() -> None:
        raise error

    with held(path), pytest.raises(type(error)) as raised:
        Lock(path, waiting=waiting)
    assert raised.value is error
