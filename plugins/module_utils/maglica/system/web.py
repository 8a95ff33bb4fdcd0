# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One answer of a web server: http and https, by the proxy that the environment names.

A server may send its client elsewhere, but only on the web, and never from https to http. No file
and no other scheme can be reached, and what a redirection says besides is not read.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from ..model import urls
from ..model.errors import DownloadFailed, NameInvalid
from ..model.text import one_line, short

MAX_REDIRECTIONS = 10
# What comes slower than this in ``silence`` seconds, or in one answer, is no progress, in bytes.
STEP = 4096
# As much may come before there is something to read: more than is read at once.
_MAX_UNTOLD = 4 << 20
_REDIRECTIONS = (301, 302, 303, 307, 308)
# RFC 9110, section 15: what may be otherwise in a moment.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
NOT_SATISFIABLE = 416


class Interrupted(Exception):
    """There was no answer, or not all of it; asking again may help. The text is the cause.

    ``is_answer``: the server itself said so.
    """

    def __init__(self, cause: str, *, is_answer: bool = False) -> None:
        super().__init__(cause)
        self.is_answer = is_answer


class _Steady(io.RawIOBase):
    """What a server says, which must come on: http.client would wait for the end of a line, and
    pass over answers that say "continue", for ever.
    """

    def __init__(self, raw: io.RawIOBase, silence: float) -> None:
        super().__init__()
        self._raw = raw
        self._silence = silence
        self._since, self._came, self._untold = time.monotonic(), 0, 0

    def noted(self) -> None:
        """Note that what came until now was of use."""
        self._untold = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self._came += count or 0
        self._untold += count or 0
        if self._untold > _MAX_UNTOLD:
            raise OSError("more came around the file than of it")
        if self._came >= STEP:
            self._since, self._came = time.monotonic(), 0
        elif count and time.monotonic() - self._since > self._silence:
            raise OSError(f"less than {STEP} bytes came in {self._silence:g} s")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self._steady = _Steady(sock.makefile("rb", buffering=0), sock.gettimeout() or float("inf"))
        self.fp.close()
        self.fp = io.BufferedReader(self._steady)

    def begin(self) -> None:
        super().begin()
        self._steady.noted()

    def read1(self, n: int = -1) -> bytes:
        self._steady.noted()
        return super().read1(n)


def _connected(
    address: tuple[str, int], timeout: float, _own: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to a host by the first of its addresses that answers, in ``timeout`` for all of them.

    With as much for each, mirrors that have many would hold up one who is behind a firewall.
    """
    found = socket.getaddrinfo(*address, 0, socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _name, where in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            # Of a family that this host has none of: another address may do.
            failure = failure or error
            continue
        try:
            sock.settimeout(timeout / len(found))
            sock.connect(where)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.settimeout(timeout)
            return sock
    raise failure or OSError("its name has no address")


class _Connection(http.client.HTTPConnection):
    response_class = _Answer

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._create_connection = _connected


class _SafeConnection(http.client.HTTPSConnection):
    response_class = _Answer

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._create_connection = _connected


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._verifying = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SafeConnection, req, context=self._verifying)


class Web:
    """Asks servers; ``silence`` is how many seconds one may say nothing, or less than STEP bytes.

    The environment's ``http_proxy``, ``https_proxy`` and ``no_proxy`` are obeyed; certificates are
    verified by those of the system.
    """

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._opener = urllib.request.OpenerDirector()
        self._opener.addheaders = [("User-Agent", "maglica")]
        # None of them looks at an answer's status: redirections and errors are this class' own.
        for handler in (
            urllib.request.ProxyHandler(),
            _Http(),
            _Https(ssl.create_default_context()),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def ask(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Return the answer, whose body is still to be read; its status is 2xx, or 416.

        Raises NameInvalid, DownloadFailed, or Interrupted where asking again may help.
        """
        asked = urls.web_address(url)
        for _turn in range(MAX_REDIRECTIONS + 1):
            user = _user(url) if _origin(asked) == _origin(url) else None
            answer = self._one(asked, headers, user)
            if answer.status < 300 or answer.status == NOT_SATISFIABLE:
                return answer
            answer.close()
            location = answer.headers.get("Location")
            if answer.status in _REDIRECTIONS and location:
                asked = _redirected(asked, location, url)
                continue
            reason = one_line(short(answer.reason or ""))
            cause = f"the server answers {answer.status} {reason}".rstrip()
            if answer.status in _PASSING:
                raise Interrupted(cause, is_answer=True)
            raise failed(url, cause)
        raise failed(url, f"the server sends one elsewhere more than {MAX_REDIRECTIONS} times")

    def _one(
        self, url: str, headers: Mapping[str, str], user: str | None
    ) -> http.client.HTTPResponse:
        """Return the next answer, whatever its status is."""
        request = urllib.request.Request(_without_user(url), headers=dict(headers))  # noqa: S310
        # The file as it lies there: its checksum is not that of another coding.
        request.add_header("Accept-Encoding", "identity")
        if user is not None:
            request.add_header("Authorization", f"Basic {user}")
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=self._silence)
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(self.cause(error)) from error
        except ValueError as error:
            # A label of a host's name that is empty or too long; a proxy that is no address.
            cause = "the host's name in the address, or the proxy's address, can't be used"
            raise Interrupted(cause) from error
        return answer

    def cause(self, error: Exception) -> str:
        """Return why an answer did not come, or ended: one line, also where a stranger wrote it."""
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
            error = error.reason
        if isinstance(error, (TimeoutError, socket.timeout)):
            return f"nothing came for {self._silence:g} s"
        if isinstance(error, http.client.IncompleteRead):
            return "the connection ended too early"
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return one_line(short(text or type(error).__name__, 200))


def failed(url: str, cause: str) -> DownloadFailed:
    return DownloadFailed(f"cannot fetch {urls.shown(url)}: {cause}")


def _redirected(url: str, location: str, begun: str) -> str:
    """Return where a redirection leads. Raises DownloadFailed where it must not lead."""
    location = quote(location, safe=string.punctuation)
    try:
        target = urls.web_address(urljoin(url, location).partition("#")[0])
    except ValueError:
        raise failed(begun, "the server sends one to what is not an address") from None
    except NameInvalid as error:
        raise failed(begun, f"the server sends one elsewhere, but {error}") from error
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise failed(begun, f"the server sends one from https to {urls.shown(target)}")
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _user(url: str) -> str | None:
    """Return the user and password of an address, as RFC 7617 has them in a header."""
    said, found, _host = urlsplit(url).netloc.rpartition("@")
    name, _colon, password = said.partition(":")
    plain = f"{unquote(name)}:{unquote(password)}"
    return base64.b64encode(plain.encode()).decode() if found else None
