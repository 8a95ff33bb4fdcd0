# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches a file from the web: goes on after a cut, and believes nothing but its checksum.

A file that was cut goes on where it ended (RFC 9110, section 14: Range, If-Range), in this process
or in a later one. What is kept of it is right only if the checksum of the whole says so: if not,
it is fetched once more from its beginning.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from ..model.errors import ChecksumDiffers, DownloadFailed, NoRoom, StorageFailed
from ..model.text import one_line, short
from ..model.urls import shown
from .backoff import Backoff
from .web import NOT_SATISFIABLE, STEP, Interrupted, Web, failed

CHUNK = 1 << 20
_TELL_SECONDS = 0.5
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_MARK = re.compile(r"[ -~]{1,200}")
_WHOLE = re.compile(r"bytes \*/(\d{1,18})")

PAUSES = Backoff(1, 30)

# How many bytes are there, and of how many; None where the server does not say.
Progress = Callable[[int, Optional[int]], None]


@dataclass(frozen=True)
class Patience:
    """``silence`` in seconds without progress ends an answer, ``tries`` without any end it all.

    How long the whole takes is not limited.
    """

    silence: float = 60
    tries: int = 6
    pauses: Backoff = PAUSES


USUAL = Patience()


def fetch(
    url: str,
    path: Path,
    *,
    algorithm: str,
    digest: str,
    most: int,
    progress: Progress,
    patience: Patience = USUAL,
    limit: str = "that it may have",
) -> int:
    """Fetch into the file ``path`` what has this digest, at most ``most`` bytes; return how many.

    ``algorithm`` is one of hashlib's. What ``path`` has already is taken for the beginning; if it
    is the whole, nobody is asked. ``limit`` says what ``most`` is. The file is on the disk when
    this returns. It stays, as far as it came, when this raises DownloadFailed, ChecksumDiffers,
    NoRoom or StorageFailed: it is the caller's.
    """
    about = f"{path} can't be written"
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        # Without a buffer, for what is left in one could fail when the file is closed.
        file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise StorageFailed(f"{about}: {error.strerror}") from error
    with file:
        part = _Part(file, algorithm, about)
        part.read_again(most, progress)
        for is_last in (False, True):
            if part.digest == digest:
                break
            source = _Source(url, most, patience, progress, limit)
            source.complete(part)
            if part.digest != digest and (part.is_whole or is_last):
                raise ChecksumDiffers(
                    f"{shown(url)} is not what was wanted: its {algorithm} is {part.digest}, not"
                    f" {digest}{source.kind}"
                )
            if part.digest != digest:
                part.restart()
        part.sync()
    return part.size


def read(
    url: str,
    most: int,
    patience: Patience = USUAL,
    progress: Progress = lambda done, total: None,
) -> bytes:
    """Return what is at an address, at most ``most`` bytes. Raises DownloadFailed."""
    memory = io.BytesIO()
    _Source(url, most, patience, progress).complete(_Part(memory, "sha256", ""))
    return memory.getvalue()


class _Part:
    """The beginning of a file, as far as it has come; ``about`` begins an error.

    ``is_whole``: all of it is known to be of one version, so that a second try brings nothing else.
    """

    def __init__(self, file: io.FileIO | io.BytesIO, algorithm: str, about: str) -> None:
        self._file = file
        self._algorithm = algorithm
        self._about = about
        self._hash = hashlib.new(algorithm)
        self.size = 0
        self.is_whole = True

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def read_again(self, most: int, progress: Progress) -> None:
        """Take what the file has already, unless that is more than ``most`` bytes."""
        try:
            while self.size <= most and (chunk := self._file.read(CHUNK)):
                self._took(chunk)
                progress(self.size, None)
        except OSError as error:
            raise self._failed(error) from error
        self.is_whole = not self.size
        if self.size > most:
            self.restart()

    def restart(self) -> None:
        self._hash = hashlib.new(self._algorithm)
        self.size = 0
        self.is_whole = True
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise self._failed(error) from error

    def add(self, chunk: bytes) -> None:
        try:
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._failed(error) from error
        self._took(chunk)

    def sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def _took(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)

    def _failed(self, error: OSError) -> NoRoom | StorageFailed:
        failure = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFailed
        return failure(f"{self._about}: {error.strerror}")


class _Source:
    """A file on the web, and what its server has said of it."""

    def __init__(
        self,
        url: str,
        most: int,
        patience: Patience,
        progress: Progress,
        limit: str = "that it may have",
    ) -> None:
        self._url = url
        self._most = most
        self._limit = limit
        self._patience = patience
        self._progress = progress
        self._web = Web(patience.silence)
        self._total: int | None = None
        self._mark: str | None = None
        self._has_answered = False
        self._may_ask_for_rest = True
        self._type = ""

    @property
    def kind(self) -> str:
        """What explains a wrong checksum: a page where a file was expected."""
        return f"; the server calls it {self._type}" if self._type.startswith("text/") else ""

    def complete(self, part: _Part) -> None:
        """Fetch the rest of a file, all of it where that must be. Raises DownloadFailed."""
        longest, without = part.size, 0
        while True:
            try:
                self._receive(part)
            except Interrupted as error:
                without = 0 if part.size - longest >= STEP else without + 1
                longest = max(longest, part.size)
                self._has_answered |= error.is_answer
                if not self._has_answered or without >= self._patience.tries:
                    raise failed(self._url, str(error)) from error
                # Whoever watches hears that it goes on, however long nothing comes.
                self._progress(part.size, self._total)
                time.sleep(self._patience.pauses.pause(without))
            else:
                self._progress(part.size, part.size)
                return

    def _receive(self, part: _Part) -> None:
        """Ask once, and take what comes."""
        headers = {}
        if part.size and self._may_ask_for_rest:
            headers["Range"] = f"bytes={part.size}-"
            if self._mark is not None:
                headers["If-Range"] = self._mark
        with self._web.ask(self._url, headers) as answer:
            self._has_answered = True
            if answer.status == NOT_SATISFIABLE and part.size:
                if not self._is_whole(answer, part.size):
                    self._begin_again(part, "the server has no more of it")
                return
            if answer.status == http.client.OK:
                if part.size:
                    part.restart()
                self._total = answer.length
            elif answer.status == http.client.PARTIAL_CONTENT and headers:
                self._go_on(answer, part)
            else:
                raise failed(self._url, f"the server answers {answer.status}")
            self._mark = _mark(answer)
            self._type = one_line(short(answer.headers.get("Content-Type", "")))
            self._take(answer, part)

    def _take(self, answer: http.client.HTTPResponse, part: _Part) -> None:
        if self._total is not None and self._total > self._most:
            raise self._too_long()
        told = time.monotonic()
        while self._total is None or part.size < self._total:
            wanted = CHUNK if self._total is None else min(CHUNK, self._total - part.size)
            try:
                chunk = answer.read1(wanted)
            except (OSError, http.client.HTTPException) as error:
                raise Interrupted(self._web.cause(error)) from error
            if not chunk:
                break
            if part.size + len(chunk) > self._most:
                raise self._too_long()
            part.add(chunk)
            now = time.monotonic()
            if now - told >= _TELL_SECONDS:
                told = now
                self._progress(part.size, self._total)
        if self._total is not None and part.size < self._total:
            raise Interrupted(f"the connection ended after {part.size} of {self._total} bytes")

    def _go_on(self, answer: http.client.HTTPResponse, part: _Part) -> None:
        """Check that an answer is the rest that was asked for."""
        match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not match or int(match[1]) != part.size:
            self._begin_again(part, "the server sends another part than it was asked for")
            return
        total = None if match[3] == "*" else int(match[3])
        is_other = self._mark not in (None, _mark(answer)) or self._total not in (None, total)
        if is_other or total is None or total <= part.size:
            self._begin_again(part, "the file has changed on the server")
        self._total = total
        part.is_whole &= self._mark is not None

    def _is_whole(self, answer: http.client.HTTPResponse, size: int) -> bool:
        match = _WHOLE.fullmatch(answer.headers.get("Content-Range", ""))
        return match is not None and int(match[1]) == size

    def _begin_again(self, part: _Part, cause: str) -> None:
        part.restart()
        self._may_ask_for_rest = False
        self._mark = self._total = None
        raise Interrupted(cause)

    def _too_long(self) -> DownloadFailed:
        return failed(self._url, f"it is longer than the {self._most} bytes {self._limit}")


def _mark(answer: http.client.HTTPResponse) -> str | None:
    """Return what tells one version of a file from another: RFC 9110, section 13.1.5."""
    for name in ("ETag", "Last-Modified"):
        mark = answer.headers.get(name, "")
        # A weak tag is no proof. What is no plain text can't be sent back.
        if not mark.startswith("W/") and _MARK.fullmatch(mark):
            return mark
    return None
