# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what is written into a clone, from what is known of its base. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import replace

from ..model.request import User
from .accounts import with_keys
from .edits import Edit, MakeDirectory, SetPassword, SetUser, Write
from .facts import GuestFacts
from .identity import Identity
from .network import families

HOSTNAME = "/etc/hostname"
HOSTS = "/etc/hosts"
MACHINE_ID = "/etc/machine-id"
SSH = "/etc/ssh"
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
OWN_ADDRESS = "127.0.1.1"


def plan(facts: GuestFacts, identity: Identity) -> tuple[Edit, ...]:
    """Return the edits that give a clone its identity: all that is laid out on its base is written.

    Raises GuestUnsupported for what this guest's network configuration can't express.
    """
    family = families.by_name(facts.network)
    edits: list[Edit] = [
        Write(HOSTNAME, f"{identity.hostname}\n".encode()),
        Write(HOSTS, _encode(hosts(facts, identity.hostname))),
        Write(MACHINE_ID, f"{identity.machine_id}\n".encode(), 0o444),
    ]
    edits += family.plan(facts, identity.nics)
    for key in identity.host_keys:
        path = f"{SSH}/ssh_host_{key.type}_key"
        edits.append(Write(path, key.private, 0o600))
        edits.append(Write(f"{path}.pub", f"{key.public}\n".encode()))
    if facts.random_seed is not None:
        edits.append(Write(facts.random_seed, identity.random_seed, 0o600))
    root, other = _users(identity)
    is_laid_out = AUTHORIZED_KEYS in facts.laid_out
    if root.ssh_authorized_keys and not is_laid_out:
        edits.append(MakeDirectory(AUTHORIZED_KEYS.rpartition("/")[0], 0o700))
    if root.ssh_authorized_keys or is_laid_out:
        keys = with_keys(facts.authorized_keys, root.ssh_authorized_keys)
        edits.append(Write(AUTHORIZED_KEYS, _encode(keys), 0o600))
    if root.password is not None:
        edits.append(SetPassword("root", root.password, identity.day))
    if other is not None:
        edits.append(SetUser(other, identity.day))
    return tuple(edits)


def _users(identity: Identity) -> tuple[User, User | None]:
    """Return keys and password of root, and the user that is more than that, if there is one."""
    keys, password = identity.authorized_keys, identity.root_password
    user = identity.user
    if user is None or user.name not in (None, "root"):
        return User(ssh_authorized_keys=keys, password=password), user
    keys = (*keys, *user.ssh_authorized_keys)
    password = password if user.password is None else user.password
    rest = replace(user, name="root", ssh_authorized_keys=(), password=None)
    return User("root", (), None, None, keys, password), rest if rest != User("root") else None


def hosts(facts: GuestFacts, hostname: str) -> str:
    """Return the content of hosts(5): the image's with its own name replaced by ``hostname``.

    The image's own names go from loopback addresses and from static addresses that it had; all
    other lines stay as they are.
    """
    own = {facts.hostname, facts.hostname.partition(".")[0]} - {"", "localhost"}
    for line in _lines(facts.hosts):
        words = line.partition("#")[0].split()
        # The canonical name of a host whose host name is short stands only here.
        if words and words[0] == OWN_ADDRESS and own.intersection(words):
            own.update(words[1:])
    new = dict.fromkeys((hostname, hostname.partition(".")[0]))
    new.pop("localhost", None)
    entry = f"{OWN_ADDRESS}\t{' '.join(new)}"
    gone, addresses = (own | new.keys()) - {"localhost"}, frozenset(facts.addresses)
    lines = []
    for line in _lines(facts.hosts):
        lines += _without(line, gone, addresses)
    place = next((i + 1 for i, line in enumerate(lines) if line.startswith("127.0.0.1")), 0)
    lines.insert(place, entry)
    return "\n".join(lines) + "\n"


def _lines(text: str) -> list[str]:
    # str.splitlines would also split at what is within a line for everything that reads the file.
    return text.removesuffix("\n").split("\n") if text else []


def _without(line: str, own: Collection[str], addresses: Collection[str]) -> list[str]:
    """Return a line of hosts(5) without the names ``own``, if its address is the guest's own."""
    text, mark, comment = line.partition("#")
    address, *names = text.split() or [""]
    kept = [name for name in names if name not in own]
    if kept == names or not (_is_loopback(address) or address in addresses):
        return [line]
    return ["\t".join((address, " ".join(kept))) + f" {mark}{comment}".rstrip()] if kept else []


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _encode(text: str) -> bytes:
    """Return the bytes of a text that may hold bytes of the guest that were no UTF-8."""
    return text.encode("utf-8", "surrogateescape")
