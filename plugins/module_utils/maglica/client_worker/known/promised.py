# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of vms that are being made, or were just made and no report shows yet."""

from __future__ import annotations

from collections.abc import Collection

from ...model.request import Request


class Promised:
    """Each request holds its vm's name for itself, whatever becomes of others of that name: a host
    may say of one that it has under way what is another host's.
    """

    def __init__(self) -> None:
        # By the names the hosts, by the requests.
        self._hosts: dict[str, dict[str, str]] = {}

    def owner(self, name: str) -> str | None:
        """Return a host on which a vm of that name is being made, or None."""
        return next(iter(self._hosts.get(name, {}).values()), None)

    def hold(self, request: Request, host: str) -> None:
        self._hosts.setdefault(request.name, {})[request.id] = host

    def free(self, request: Request) -> None:
        """Have this request hold its vm's name no more."""
        self._free(request.name, request.id)

    def forget(self, hosts: Collection[str]) -> None:
        """Free what is held for hosts that are known no more."""
        held = [(name, *each) for name, its in self._hosts.items() for each in its.items()]
        for name, request_id, host in held:
            if host in hosts:
                self._free(name, request_id)

    def _free(self, name: str, request_id: str) -> None:
        held = self._hosts.get(name, {})
        if held.pop(request_id, None) and not held:
            del self._hosts[name]
