# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules describe vms, and what they say about waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .maglica.manage.shown import restart_warning
from .maglica.manage.target import Target, WaitFor, Waiting, warnings
from .maglica.manage.wanted import Wanted, want
from .maglica.model import sizes
from .maglica.model.card import Link, Model, VirtualPort
from .maglica.model.request import Customize
from .maglica.model.text import one_line
from .maglica.verbs.hardware.disks import Bus, Cache, Discard
from .maglica.verbs.hardware.set_boot_order import BootDevice
from .maglica.verbs.table import Presence

# What holds where nothing is said.
DEFAULTS: dict[str, Any] = {
    "state": "present",
    "customize": "auto",
    "ssh_authorized_keys": [],
    "force": False,
    "stop_timeout": 120,
    "allow_restart": False,
    "remove_foreign_disks": False,
}


def vm_spec() -> dict[str, dict[str, Any]]:
    """Return the options of the documentation fragment maglica.cloud.vm that are about one vm,
    without defaults.
    """
    strings = {"type": "list", "elements": "str", "default": []}
    return {
        "hostname": {"type": "str"},
        "image": {"type": "str"},
        "state": {"type": "str", "choices": [state.value for state in Presence]},
        "host": {"type": "str"},
        "clone_mode": {"type": "str", "choices": ["linked", "full"]},
        "pool": {"type": "str"},
        "vcpus": {"type": "int"},
        "memory": {"type": "str"},
        "disk_size": {"type": "str"},
        "disks": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "state": {
                    "type": "str",
                    "choices": ["present", "absent"],
                    "default": "present",
                },
                "size": {"type": "str"},
                "pool": {"type": "str"},
                "bus": {"type": "str", "choices": [each.value for each in Bus]},
                "cache": {"type": "str", "choices": [each.value for each in Cache]},
                "discard": {"type": "str", "choices": [each.value for each in Discard]},
                "serial": {"type": "str"},
                "keep": {"type": "bool", "default": False},
            },
        },
        "cdrom": {
            "type": "dict",
            "options": {
                "path": {"type": "str"},
                "pool": {"type": "str"},
                "volume": {"type": "str"},
                "state": {
                    "type": "str",
                    "choices": ["present", "absent"],
                    "default": "present",
                },
            },
        },
        "boot_order": {
            "type": "list",
            "elements": "str",
            "choices": [each.value for each in BootDevice],
        },
        "interfaces": {
            "type": "list",
            "elements": "dict",
            "aliases": ["networks"],
            "options": {
                "network": {"type": "str"},
                "bridge": {"type": "str"},
                "mac": {"type": "str"},
                "state": {
                    "type": "str",
                    "choices": ["present", "absent"],
                    "default": "present",
                },
                "model": {"type": "str", "choices": [each.value for each in Model]},
                "link": {"type": "str", "choices": [each.value for each in Link]},
                "filter": {"type": "str"},
                "vlan": {"type": "list", "elements": "int"},
                "virtualport": {"type": "str", "choices": [each.value for each in VirtualPort]},
                "addresses": strings,
                "gateways": strings,
                "nameservers": strings,
                "search": strings,
            },
        },
        "customize": {"type": "str", "choices": [way.value for way in Customize]},
        "user": {
            "type": "dict",
            "options": {
                "name": {"type": "str"},
                "groups": strings,
                "sudo": {"type": "str"},
                "shell": {"type": "str"},
                "ssh_authorized_keys": {**strings, "no_log": False},
                "password": {"type": "str", "no_log": True},
            },
        },
        "user_data": {"type": "str", "no_log": True},
        "ssh_authorized_keys": {"type": "list", "elements": "str", "no_log": False},
        "root_password": {"type": "str", "no_log": True},
        "tags": {"type": "list", "elements": "str"},
        "autostart": {"type": "bool"},
        "description": {"type": "str"},
        "protected": {"type": "bool"},
        "force": {"type": "bool"},
        "stop_timeout": {"type": "int"},
        "allow_restart": {"type": "bool"},
        "adopt": {"type": "bool"},
        "remove_foreign_disks": {"type": "bool"},
    }


def with_defaults(spec: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the options with the defaults that hold."""
    return {
        name: {**option, "default": DEFAULTS[name]} if name in DEFAULTS else option
        for name, option in spec.items()
    }


def wait_spec() -> dict[str, dict[str, Any]]:
    """Return those that say what is waited for."""
    return {
        "wait": {"type": "bool", "default": True},
        "wait_for": {
            "type": "str",
            "choices": [each.value for each in WaitFor],
            "default": "running",
        },
        "wait_timeout": {"type": "int", "default": 1800},
    }


def waiting(parameters: Mapping[str, Any]) -> Waiting:
    """Return what the parameters of ``wait_spec`` say."""
    return Waiting(
        wait=parameters["wait"],
        until=WaitFor(parameters["wait_for"]),
        timeout=parameters["wait_timeout"],
    )


def warn(module: Any, targets: Sequence[Target]) -> None:
    """Say which options were given for vms that are there, and changed nothing, and which vms have
    another size from their next start on.
    """
    for text in filter(None, (*warnings(targets), restart_warning(targets))):
        module.warn(one_line(text))


def _disk(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a disk that the options describe, as verbs.hardware.disks has it."""
    size = said["size"]
    told = {key: value for key, value in said.items() if key not in ("size", "state")}
    size_mib = None if size is None else sizes.mib(size, f"size of disk {said['name']}")
    return {**told, "size_mib": size_mib, "present": said["state"] == "present"}


def _interface(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return an interface that the options describe, as verbs.hardware.interfaces has it."""
    told = {key: value for key, value in said.items() if key != "state"}
    return {**told, "present": said["state"] == "present"}


def wanted(name: str | None, *said: Mapping[str, Any]) -> Wanted:
    """Return the vm that parameters of ``vm_spec`` describe; the first that says something counts.

    A required name may still be null. Raises NameInvalid or NameTaken.
    """
    merged: dict[str, Any] = {}
    for parameters in said:
        for option, value in parameters.items():
            if merged.get(option) is None:
                merged[option] = value
    for option in ("memory", "disk_size"):
        size = merged.pop(option)
        merged[f"{option}_mib"] = None if size is None else sizes.mib(size, option)
    merged["disks"] = [_disk(each) for each in merged["disks"] or ()]
    if merged["interfaces"] is not None:
        merged["interfaces"] = list(map(_interface, merged["interfaces"]))
    if merged["cdrom"] is not None:
        said = dict(merged["cdrom"])
        is_in = said.pop("state") == "present"
        merged["cdrom"] = {**said, "present": is_in}
    return want(name or "", Presence(merged.pop("state")), **merged)
