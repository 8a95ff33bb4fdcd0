# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server on 127.0.0.1 that lays files out as distributions do, and misbehaves if told to.

A file is sent as servers send one (Range, If-Range, ETag, Last-Modified), unless ``answers`` has a
function for its path: that writes to the connection what it likes.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable

_RANGE = re.compile(r"bytes=(\d+)-")
# Of what is sent slowly.
PIECE = 64 << 10
CHANGED = email.utils.formatdate(1_760_000_000, usegmt=True)

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; ``site`` is what the test has made."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.close_connection = True
        site = self.server.site
        site.requests.append(
            (self.path, {name.lower(): each for name, each in self.headers.items()})
        )
        answer = site.answers.get(self.path)
        if answer is not None:
            answer(self)
        elif self.path in site.files:
            self.send_file(site.files[self.path])
        else:
            self.send_error(404)

    def begin(self, status: int, **headers: object) -> None:
        """Send a status line and headers: ``content_length=5`` is Content-Length."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def asked_from(self, tag: str | None) -> int:
        """Return where the part begins that is asked for, if it is one of the file's version."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, tag, CHANGED)
        return int(match[1]) if match and same else 0

    def send_file(
        self,
        data: bytes,
        upto: int | None = None,
        tag: bool = True,
        date: bool = True,
        pause: float = 0,
    ) -> None:
        """Send a file or the part asked for; ``upto`` cuts the connection there.

        ``pause`` is waited, in seconds, after each PIECE of it.
        """
        mark = f'"{hashlib.sha256(data).hexdigest()[:16]}"' if tag else None
        start, size = self.asked_from(mark), len(data)
        headers: dict[str, object] = {"ETag": mark} if mark else {}
        if date:
            headers["Last_Modified"] = CHANGED
        if start >= size > 0:
            self.begin(416, Content_Range=f"bytes */{size}", Content_Length=0)
            return
        if start:
            headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
        headers["Content_Length"] = size - start
        self.begin(206 if start else 200, **headers)
        end = size if upto is None else min(upto, size)
        for place in range(start, end, PIECE if pause else size + 1):
            self.wfile.write(data[place : min(place + PIECE, end)] if pause else data[place:end])
            time.sleep(pause)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, *_args: object) -> None:
        """A client that goes away is what some tests are about."""


class Site:
    """What the server has, by path, and what was asked of it: path and headers in lower case."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def asked(self, header: str = "range") -> list[str | None]:
        """Return one header of each request so far."""
        return [headers.get(header) for _path, headers in self.requests]


@contextmanager
def served(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve a site during the block; its ``url`` ends without a slash."""
    site = Site()
    with _Server(("127.0.0.1", 0), Handler) as server:
        server.site = site
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        site.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
