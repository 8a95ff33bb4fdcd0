# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to this host's libvirtd, and libvirt's errors as the library's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._deps import need
from ..model.errors import HostDown, LibvirtFailed, MaglicaError
from .facts import state_name


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
    """Turn libvirt's errors into LibvirtFailed or HostDown: "cannot ACT on host HOST: CAUSE"."""
    libvirt = need("libvirt")
    try:
        yield
    except libvirt.libvirtError as error:
        raise kind_of(error, LibvirtFailed)(f"cannot {act} on host {host}: {error}") from error


def kind_of(error: Any, otherwise: type[MaglicaError]) -> type[MaglicaError]:
    """Return HostDown when a libvirtError says that libvirtd itself is gone, else ``otherwise``.

    Such a call may be made again when libvirtd is back: nothing is known of what it did. Errors of
    the connection have the domain VIR_FROM_RPC (libvirt/virterror.h).
    """
    return HostDown if error.get_error_domain() == need("libvirt").VIR_FROM_RPC else otherwise


def find(connection: Any, uuid: str, host: str) -> Any:
    """Return the domain (virDomain) with that UUID, or None. Raises LibvirtFailed, HostDown."""
    libvirt = need("libvirt")
    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        failure = kind_of(error, LibvirtFailed)
        raise failure(f"cannot look for domain {uuid} on host {host}: {error}") from error


def _be_silent(_context: Any, _error: Any) -> None:
    pass


def state_of(domain: Any) -> str:
    """Return the state of a domain (virDomain) in one word; costs one call."""
    return state_name(domain.state()[0])


def inactive_xml(domain: Any) -> str:
    """Return the definition that a domain has at its next start, with nothing left out."""
    libvirt = need("libvirt")
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    return str(domain.XMLDesc(flags))
