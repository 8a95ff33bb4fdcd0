# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of the modules that run on a host and have it have a pool or a network."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from ._ending import errors_as_failure, with_diff
from .maglica.hosting.present import Change, Hosting
from .maglica.libvirtd import local
from .maglica.model.errors import DependencyMissing, HostDown
from .maglica.model.text import one_line

Wanted = TypeVar("Wanted")


def hosting_spec() -> dict[str, dict[str, Any]]:
    """Return the options of the documentation fragment maglica.cloud.hosting."""
    return {
        "state": {"type": "str", "choices": ["present"], "default": "present"},
        "autostart": {"type": "bool", "default": True},
        "optional": {"type": "bool", "default": False},
        "uri": {"type": "str", "default": "qemu:///system"},
    }


def settle(
    module: Any,
    wanted_of: Callable[[Mapping[str, Any]], Wanted],
    plan: Callable[[Hosting, Wanted, bool, bool], Change],
    apply: Callable[[Hosting, Wanted, Change], None],
) -> NoReturn:
    """Run a module to its end: ``wanted_of`` its options, ``plan`` and ``apply`` of its kind."""
    with errors_as_failure(module, dict):
        wanted = wanted_of(module.params)
        host = platform.node()
        hosting = Hosting(_connection(module, host), host)
        change = plan(hosting, wanted, module.params["autostart"], module.params["optional"])
        if change.changed and not module.check_mode:
            apply(hosting, wanted, change)
    if change.note and not change.is_as_good:
        module.warn(change.note)
    result = {
        "changed": change.changed,
        "name": module.params["name"],
        "uuid": change.uuid,
        "active": change.after.active,
        "autostart": change.after.autostart,
        "xml": change.after.xml,
        **({"msg": change.note} if change.note else {}),
    }
    diff = {"before": change.before.shown(), "after": change.after.shown()}
    module.exit_json(**with_diff(module, result, diff))


def _connection(module: Any, host: str) -> Any:
    """Open libvirt; None where it is not there yet, and check mode only asks what would be."""
    try:
        return local.connect(module.params["uri"], host)
    except (DependencyMissing, HostDown) as error:
        if not module.check_mode:
            raise
        module.warn(one_line(f"taken for a host without pools and networks: {error}"))
        return None
