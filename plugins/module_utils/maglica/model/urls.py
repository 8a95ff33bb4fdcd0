# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses on the web: what is one, how it is shown, which file it names. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from .errors import NameInvalid

MAX_LENGTH = 2000
_SCHEMES = ("http", "https")
_ALPHABET = re.compile(r"[!-~]+")
# Of what is no address nobody knows where a password in it ends.
_USER = re.compile(r"^([A-Za-z0-9+.-]*:?//)?.*@", re.DOTALL)
# scheme "://" [userinfo "@"] host and path: RFC 3986, section 3.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/?#]*@)?([^?#]*)", re.DOTALL)

_SECRETS = re.compile(r"://([^/?#]*@)|([?#].+)", re.DOTALL)
# The same of what is no address: a password may have any character then.
_SECRETS_OF_NONE = re.compile(r"(?:://|^(?!.*://))(.*@)|([?#].+)", re.DOTALL)


def web_address(text: str) -> str:
    """Check an address whose scheme is http or https, as RFC 3986 writes it: in ASCII."""
    if len(text) > MAX_LENGTH:
        raise NameInvalid(
            f"{_named(text)} is not a web address: longer than {MAX_LENGTH} characters"
        )
    # What is kept of it, without its user and password, is read again.
    is_one = _has_host(text) and _has_host(shown(text))
    if not is_one or "#" in text or not _ALPHABET.fullmatch(text):
        raise NameInvalid(f"{_named(text)} is not a web address, such as https://example.com/a.img")
    return text


def _has_host(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        # Not every Python looks what stands in brackets, and all sides must say the same.
        in_brackets = parts.netloc.rpartition("@")[2].startswith("[")
        is_host = bool(ipaddress.IPv6Address(host)) if in_brackets else bool(host)
        return parts.scheme in _SCHEMES and is_host and parts.port != 0
    except ValueError:
        return False


def shown(origin: str) -> str:
    """Return a URL as anybody may see it, and as it may be kept; what is none is left as it is.

    Its user, password, query and fragment are taken away: a query may have a token in it.
    """
    match = _URL.match(origin)
    return f"{match[1]}{match[2]}" if match else origin


def secrets(text: str) -> set[str]:
    """Return what ``shown`` takes away from the URL that a text is or ends in."""
    try:
        web_address(text[max(text.find("http"), 0) :])
        form = _SECRETS
    except NameInvalid:
        form = _SECRETS_OF_NONE
    return {part for match in form.finditer(text) for part in match.groups() if part}


def file_name(url: str) -> str:
    """Return the name of the file that an address is of; it is empty for a folder's."""
    return unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")


def _named(text: str) -> str:
    return repr(_USER.sub(r"\1", text).partition("?")[0][:100])
