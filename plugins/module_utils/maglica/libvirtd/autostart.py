# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which domains their host starts by itself: no definition says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _deps
from .session import Session, code, faults


def of(session: Session, connection: Any, handles: Sequence[Any]) -> frozenset[str] | None:
    """Return the UUIDs of those of these domains (virDomain) for which that is so, None if it can't
    be told.

    Of one domain it is asked alone, of many in one call for all that there are.
    """
    libvirt = _deps.need("libvirt")
    try:
        if len(handles) > 1:
            handles = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
        else:
            handles = [each for each in handles if each.autostart()]
        return frozenset(each.UUIDString() for each in handles)
    except faults() as error:
        if code(error) in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_SUPPORT):
            return None
        if not session.excuse(connection, "which domains start by themselves", error):
            raise
        return None
