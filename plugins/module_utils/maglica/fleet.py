# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where: reads the libvirtd of every host, all hosts at once, each with a deadline.

Nothing here changes anything on a host. A host that does not answer is named in the result with
the reason, and never takes longer than ``timeout`` seconds (all its calls together).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from . import _deps, fleet_host, fleet_read, sessions
from .addresses import ANY, Preference
from .errors import VmUnknown
from .fleet_read import Reading
from .fleet_values import (
    AddressSource,
    Domain,
    Found,
    Gather,
    Host,
    HostEntry,
    Snapshot,
    Unreachable,
)
from .session import Options, Session

# How often a vm's lease is looked for, in seconds: soon after the start, then less often.
_FIRST_LOOK = 0.25
_LAST_LOOK = 2.0


def snapshot(
    hosts: Sequence[HostEntry],
    timeout: float = 10.0,
    *,
    gather: Gather = Gather.FULL,
    sources: Sequence[AddressSource] = (AddressSource.LEASE,),
    preference: Preference = ANY,
    wanted: Callable[[Domain], bool] | None = None,
    is_image: Callable[[Domain], bool] = lambda domain: domain.is_image,
    details: bool = False,
    xml: bool = False,
    parallel: int = 0,
    auth_file: str | None = None,
) -> Snapshot:
    """Return every original image and every vm of ``hosts``.

    ``gather`` minimal reads names, UUIDs, states and whether it is an image, in one call a host;
    full also definitions, disks' sizes and addresses. ``wanted`` says by a domain's name and state
    whether it is read at all. See fleet_read.Reading and sessions.Options for the others.
    """
    reading = Reading(gather, tuple(sources), preference, wanted, details, xml)
    contents, unreachable = sessions.each(
        hosts,
        lambda session: fleet_read.read(session, reading),
        Options(timeout, parallel, auth_file),
    )
    domains = sorted(
        (domain for entry in contents.values() for domain in entry.domains),
        key=lambda domain: (domain.name, domain.host),
    )
    return Snapshot(
        vms=tuple(domain for domain in domains if not is_image(domain)),
        images=tuple(domain for domain in domains if is_image(domain)),
        hosts=tuple(contents[name].host for name in sorted(contents)),
        unreachable=unreachable,
        problems=tuple(text for name in sorted(contents) for text in contents[name].problems),
    )


def find_vm(
    hosts: Sequence[HostEntry], name: str, timeout: float = 10.0, auth_file: str | None = None
) -> Found:
    """Return every domain of that name, image or vm, with its leased or else its fixed addresses.

    What is said of its sizes and devices is what it has after its next start.
    """
    found, unreachable = sessions.each(
        hosts, lambda session: _find(session, name), Options(timeout, auth_file=auth_file)
    )
    domains = (domain for _host, domain in sorted(found.items()) if domain is not None)
    return Found(tuple(domains), unreachable)


def wait_address(
    host: HostEntry,
    uuid: str,
    timeout: float,
    *,
    preference: Preference = ANY,
    auth_file: str | None = None,
) -> Domain:
    """Wait until the vm with that UUID has an address, leased or fixed; return it then.

    After ``timeout`` seconds it is returned without address. Raises VmUnknown when it is not
    there, HostDown when the host can't be read.
    """
    ends = time.monotonic() + timeout
    return sessions.one(
        host,
        lambda session: _wait(session, uuid, preference, ends),
        # The last look may begin just before the end: leave it time to return.
        Options(timeout + _LAST_LOOK, auth_file=auth_file),
    )


def host_status(
    hosts: Sequence[HostEntry],
    timeout: float = 10.0,
    *,
    parallel: int = 0,
    auth_file: str | None = None,
) -> tuple[tuple[Host, ...], tuple[Unreachable, ...]]:
    """Return what each host says of its memory, processors, pools and networks."""

    def read(session: Session) -> Host:
        started = time.monotonic()
        with session.connected() as connection:
            host = fleet_host.read(session, connection, details=True)
        return replace(host, seconds=time.monotonic() - started)

    found, unreachable = sessions.each(hosts, read, Options(timeout, parallel, auth_file))
    return tuple(found[name] for name in sorted(found)), unreachable


def _find(session: Session, name: str) -> Domain | None:
    with session.connected() as connection:
        return _named(session, connection, lambda: connection.lookupByName(name), ANY)


def _wait(session: Session, uuid: str, preference: Preference, ends: float) -> Domain:
    pause = _FIRST_LOOK
    with session.connected() as connection:
        while True:
            domain = _named(
                session, connection, lambda: connection.lookupByUUIDString(uuid), preference
            )
            if domain is None:
                raise VmUnknown(f"no vm with the UUID {uuid}")
            if domain.address or time.monotonic() + pause > ends:
                return domain
            session.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK)


def _named(
    session: Session, connection: Any, look_up: Callable[[], Any], preference: Preference
) -> Domain | None:
    libvirt = _deps.need("libvirt")
    try:
        handle = look_up()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    sources = (AddressSource.LEASE, AddressSource.RECORDED)
    reading = Reading(sources=sources, preference=preference, inactive=True)
    return fleet_read.read_one(session, connection, handle, reading)
