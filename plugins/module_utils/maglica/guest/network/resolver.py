# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""resolv.conf(5) of a guest in which nobody but its administrator writes that file. Pure."""

from __future__ import annotations

from ..edits import Edit, Write
from ..facts import GuestFacts
from ..identity import NicIdentity

RESOLV_CONF = "/etc/resolv.conf"
ROOM = {RESOLV_CONF: 512}


def edits(facts: GuestFacts, nics: tuple[NicIdentity, ...]) -> tuple[Edit, ...]:
    """Return the edit that names the NICs' servers, where that file is the guest's own."""
    has_servers = any(nic.nameservers for nic in nics)
    if facts.resolver != "file" or not (has_servers or RESOLV_CONF in facts.laid_out):
        return ()
    text = _resolv_conf(nics) if has_servers else facts.resolv_conf
    return (Write(RESOLV_CONF, text.encode("utf-8", "surrogateescape")),)


def _resolv_conf(nics: tuple[NicIdentity, ...]) -> str:
    search = dict.fromkeys(domain for nic in nics for domain in nic.search)
    servers = dict.fromkeys(server for nic in nics for server in nic.nameservers)
    lines = [f"search {' '.join(search)}"] if search else []
    return "\n".join(lines + [f"nameserver {server}" for server in servers]) + "\n"
