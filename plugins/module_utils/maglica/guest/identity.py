# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that tells one clone from another: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """

    hostname: str
    machine_id: str
    nics: tuple[NicIdentity, ...] = ()
    host_keys: tuple[HostKey, ...] = ()
    random_seed: bytes = field(default=b"", repr=False)
    authorized_keys: tuple[str, ...] = ()
    root_password: str | None = field(default=None, repr=False)
    day: int = 0


@dataclass(frozen=True)
class User:
    """A user of the clone. None, or nothing: as the image has it, or as its system chooses.

    Without ``name`` it is the image's own user, with cloud-init, and root without. ``groups`` are
    all beside its own one, ``sudo`` is a rule of sudoers(5) without the user
    (``ALL=(ALL) NOPASSWD:ALL``), ``password`` a hash of crypt(5).
    """

    name: str | None = None
    groups: tuple[str, ...] = ()
    sudo: str | None = None
    shell: str | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
