# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the library imports packages from outside the standard library.

A machine needs only what its part uses: the control machine has no ``guestfs``, a client worker no
``libvirt``. So each is imported when it is first asked for: a missing one is no error before, and
one that is not needed costs no time (libvirt and zmq take longer to import than a host to read).
"""

# ruff: noqa: PLC0415
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .model.errors import DependencyMissing


def _zmq() -> Any:
    import zmq
    import zmq.utils.z85

    return zmq


def _libvirt() -> Any:
    import libvirt

    return libvirt


def _guestfs() -> Any:
    import guestfs

    return guestfs


def _yaml() -> Any:
    import yaml

    return yaml


def _pycdlib() -> Any:
    import pycdlib

    return pycdlib


def _argcomplete() -> Any:
    import argcomplete

    return argcomplete


_PACKAGES: dict[str, tuple[Callable[[], Any], str]] = {
    "zmq": (_zmq, "pyzmq (Debian: python3-zmq)"),
    "libvirt": (_libvirt, "libvirt-python (Debian: python3-libvirt)"),
    "guestfs": (_guestfs, "the libguestfs binding (Debian: python3-guestfs)"),
    "yaml": (_yaml, "PyYAML (Debian: python3-yaml)"),
    "pycdlib": (_pycdlib, "pycdlib (Debian: python3-pycdlib)"),
    "argcomplete": (_argcomplete, "argcomplete (Debian: python3-argcomplete)"),
}


def need(name: str) -> Any:
    """Return the imported package ``name``, one of ``_PACKAGES``.

    Raises DependencyMissing, which says what to install, when it is not there.
    """
    imported, origin = _PACKAGES[name]
    try:
        return imported()
    except ImportError as error:
        raise DependencyMissing(f"this Python lacks {origin}") from error


def has(name: str) -> bool:
    """Tell whether this Python has the package ``name``."""
    try:
        need(name)
    except DependencyMissing:
        return False
    return True
