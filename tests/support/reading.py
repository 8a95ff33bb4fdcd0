# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads hosts by libvirt with what differs from what a listing reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maglica.config.config import HostEntry
from maglica.fleet import by_libvirt
from maglica.fleet.filter import image_names
from maglica.fleet.snapshot import Snapshot
from maglica.libvirtd.host_reader import Reading
from maglica.libvirtd.hosts import Gather, HostToRead
from maglica.libvirtd.session import Options


def snapshot(
    hosts: Sequence[HostToRead],
    timeout: float = 10.0,
    *,
    parallel: int = 0,
    auth_file: str | None = None,
    image_pattern: str | None = None,
    **reading: Any,
) -> Snapshot:
    """Return what the hosts show; ``reading`` are fields of host_reader.Reading."""
    asked = Reading(may_be_image=image_names(image_pattern), **reading)
    return by_libvirt.read(hosts, asked, Options(timeout, parallel, auth_file))


def reasons(address: str, pki: Path) -> list[str]:
    """Return why a host can't be read over TLS with what is in a folder; none if it can."""
    entry = HostEntry("host", f"qemu+tls://{address}/system?pkipath={pki}")
    return [each.text for each in snapshot([entry], gather=Gather.MINIMAL).unreachable]
