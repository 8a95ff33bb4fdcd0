# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to this host's libvirtd, and libvirt's errors as the library's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._deps import need
from ..errors import HostDown, LibvirtFailed


def connect(uri: str, host: str) -> Any:
    """Open a connection (virConnect); raises HostDown, which names the host and the cause.

    libvirt's habit of writing each error to stderr as well is switched off.
    """
    libvirt = need("libvirt")
    libvirt.registerErrorHandler(_be_silent, None)
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HostDown(f"libvirtd on host {host} does not answer at {uri}: {error}") from error


def is_alive(connection: Any) -> bool:
    """Tell whether a connection still works; costs one call."""
    libvirt = need("libvirt")
    try:
        connection.getLibVersion()
    except libvirt.libvirtError:
        return False
    return True


def is_active(domain: Any) -> bool:
    """Tell whether a domain (virDomain) runs; a transient one that is gone does not."""
    libvirt = need("libvirt")
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise


@contextmanager
def errors(act: str, host: str) -> Iterator[None]:
    """Turn libvirt's errors into LibvirtFailed: "cannot ACT on host HOST: CAUSE"."""
    libvirt = need("libvirt")
    try:
        yield
    except libvirt.libvirtError as error:
        raise LibvirtFailed(f"cannot {act} on host {host}: {error}") from error


def find(connection: Any, uuid: str, host: str) -> Any:
    """Return the domain (virDomain) with that UUID, or None. Raises LibvirtFailed."""
    libvirt = need("libvirt")
    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise LibvirtFailed(f"cannot look for domain {uuid} on host {host}: {error}") from error


def _be_silent(_context: Any, _error: Any) -> None:
    pass
