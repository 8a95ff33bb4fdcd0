# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that tells one clone from another: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..model.request import User


@dataclass(frozen=True)
class NicIdentity:
    """A network interface of the clone; no addresses means DHCP.

    Addresses have a prefix length (``192.0.2.7/24``); at most one gateway of each family.
    """

    mac: str
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostKey:
    """An SSH host key: its type ("ed25519"), the private file and the public line (OpenSSH)."""

    type: str
    private: bytes = field(repr=False)
    public: str


@dataclass(frozen=True)
class Identity:
    """All that tells one clone from another.

    ``machine_id`` is 32 hexadecimal digits (machine-id(5)), ``random_seed`` fresh random bytes,
    ``root_password`` a hash of crypt(5) and ``day`` the date as days since 1970, for shadow(5).
    ``authorized_keys`` and ``root_password`` are root's, ``user`` is another one or root, too.
    """

    hostname: str
    machine_id: str
    nics: tuple[NicIdentity, ...] = ()
    host_keys: tuple[HostKey, ...] = ()
    random_seed: bytes = field(default=b"", repr=False)
    authorized_keys: tuple[str, ...] = ()
    root_password: str | None = field(default=None, repr=False)
    day: int = 0
    user: User | None = None
