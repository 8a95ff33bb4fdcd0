# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that an inventory's file names itself, checked as those of maglica.conf are; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..model.errors import ConfigInvalid, NameInvalid
from . import values
from .config import HostEntry

_READERS: dict[str, values.Reader] = {
    "name": values.word,
    "uri": values.uri,
    "weight": values.positive,
}


def hosts(listed: Collection[object]) -> list[HostEntry]:
    """Return the hosts that dictionaries of ``name``, ``uri`` and ``weight`` state.

    What is not stated of a host, or is None, has its default. Raises ConfigInvalid.
    """
    if not listed:
        raise ConfigInvalid(
            "hosts: no host is named; without hosts the configuration file has them"
        )
    return [_host(number, entry) for number, entry in enumerate(listed, start=1)]


def _host(number: int, entry: object) -> HostEntry:
    where = f"hosts: entry {number}"
    if not isinstance(entry, Mapping):
        raise ConfigInvalid(f"{where}: {entry!r} is not a dictionary with a name")
    found: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in _READERS:
            raise ConfigInvalid(f"{where}: there is no option {key!r}")
        if value is None:
            continue
        try:
            found[key] = _READERS[key](str(value), Path())
        except (ValueError, NameInvalid) as error:
            raise ConfigInvalid(f"{where}: {key}: {error}") from None
    if "name" not in found:
        raise ConfigInvalid(f"{where}: option name is missing")
    return HostEntry(**{"uri": values.default_uri(found["name"]), **found})
