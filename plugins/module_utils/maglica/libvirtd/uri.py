# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a libvirt URI says about the way to its peer; see https://libvirt.org/uri.html."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from ..model.errors import ConfigInvalid

# https://libvirt.org/remote.html: the ports where the URI names none.
_PORTS = {"tls": 16514, "tcp": 16509, "libssh2": 22, "libssh": 22}


class Way(enum.Enum):
    """What a call of libvirt waits for: what must be ended to end the call."""

    INSIDE = "inside"  # a driver in this process
    UNIX = "unix"
    INET = "inet"
    CHILD = "child"  # a process such as ssh


@dataclass(frozen=True)
class Endpoint:
    """The other end of a connection; ``socket`` is a path, None for the daemon's usual one."""

    way: Way
    host: str | None = None
    port: int | None = None
    socket: str | None = None


def peer(uri: str) -> Endpoint:
    """Return the peer of ``uri``. Raises ConfigInvalid when it is no libvirt URI."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigInvalid(f"{uri!r} is not a libvirt URI: {error}") from None
    if not parts.scheme or any(char.isspace() or not char.isprintable() for char in uri):
        raise ConfigInvalid(
            f"{uri!r} is not a libvirt URI, such as qemu+ssh://kvm0.example.jp/system"
        )
    driver, _plus, transport = parts.scheme.partition("+")
    if driver == "test" and not transport and not host:
        return Endpoint(Way.INSIDE)
    if not transport:
        transport = "tls" if host else "unix"
    if transport == "unix":
        return Endpoint(Way.UNIX, socket=_option(parts.query, "socket"))
    if transport == "ssh":
        return Endpoint(Way.CHILD, host=host)
    if transport not in _PORTS:
        raise ConfigInvalid(
            f"{uri!r} has the unknown transport {transport!r}: use tcp, tls, ssh or unix"
        )
    return Endpoint(Way.INET, host=host or "localhost", port=port or _PORTS[transport])


def for_unattended_use(uri: str, auth_file: str | None = None) -> str:
    """Return ``uri`` with what keeps libvirt from asking a user anything.

    ssh never prompts, and SASL takes its user and password from ``auth_file``, which has the form
    that https://libvirt.org/auth.html describes under "Client configuration". What the URI itself
    says about either stays.
    """
    added = []
    parts = urlsplit(uri)
    if peer(uri).way is Way.CHILD and _option(parts.query, "no_tty") is None:
        added.append("no_tty=1")
    if auth_file and _option(parts.query, "authfile") is None:
        added.append("authfile=" + quote(auth_file))
    if not added:
        return uri
    return uri + ("&" if parts.query else "?") + "&".join(added)


def _option(query: str, name: str) -> str | None:
    values = parse_qs(query, keep_blank_values=True).get(name)
    return values[0] if values else None
