# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a host says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _deps
from ..model.reported import PoolState
from ..model.text import short
from .facts import memory_mib
from .hosts import Host
from .session import Session, code, faults

# virStoragePoolInfo's state of a pool that is in use: VIR_STORAGE_POOL_RUNNING.
_RUNNING = 2


def read(session: Session, connection: Any, details: bool) -> Host:
    """Return the host; without ``details`` no call is made for it."""
    host = Host(name=session.host.name, uri=session.host.uri, seconds=0.0)
    if not details:
        return host
    calls = (
        ("the CPUs", connection.getInfo),
        ("the memory", lambda: memory_mib(connection)),
        ("libvirt's version", connection.getLibVersion),
        ("the hypervisor's version", connection.getVersion),
        ("the host name", connection.getHostname),
        ("the pools", lambda: _pools(session, connection)),
        ("the networks", lambda: _networks(connection)),
    )
    information, memory, library, hypervisor, hostname, pools, networks = session.map(
        lambda call: _known(session, connection, *call), calls
    )
    return Host(
        name=host.name,
        uri=host.uri,
        seconds=0.0,
        cpus=information and information[2],
        memory_total_mib=memory and memory[0],
        memory_free_mib=memory and memory[1],
        libvirt_version=library and version(library),
        hypervisor_version=hypervisor and version(hypervisor),
        hostname=hostname,
        pools=pools or (),
        networks=networks or (),
    )


def version(number: int) -> str:
    """Return a version of libvirt, major * 1,000,000 + minor * 1,000 + release, as text."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _known(session: Session, connection: Any, what: str, call: Callable[[], Any]) -> Any:
    """Return what ``call`` gives, None when this driver has no such call or it fails."""
    libvirt = _deps.need("libvirt")
    try:
        return call()
    except faults() as error:
        is_missing = code(error) == libvirt.VIR_ERR_NO_SUPPORT
        if not (is_missing or session.excuse(connection, what, error)):
            raise
        return None


def _pools(session: Session, connection: Any) -> tuple[PoolState, ...]:
    libvirt = _deps.need("libvirt")
    pools = []
    for pool in connection.listAllStoragePools(0):
        name = "?"
        try:
            name = pool.name()
            state, capacity, _allocation, available = pool.info()
        except faults() as error:
            is_gone = code(error) == libvirt.VIR_ERR_NO_STORAGE_POOL
            if not (is_gone or session.excuse(connection, f"the pool {short(name)}", error)):
                raise
            continue
        pools.append(PoolState(name, state == _RUNNING, capacity, available))
    return tuple(sorted(pools, key=lambda pool: pool.name))


def _networks(connection: Any) -> tuple[str, ...]:
    libvirt = _deps.need("libvirt")
    active = libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE
    return tuple(sorted(network.name() for network in connection.listAllNetworks(active)))
