# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the library imports packages from outside the standard library.

A machine needs only what its part uses: the control machine has no ``guestfs``, a client worker no
``libvirt``. So a missing package is no error at import time, but when it is asked for.
"""

from __future__ import annotations

from typing import Any

from .errors import DependencyMissing

try:
    import zmq
    import zmq.utils.monitor
    import zmq.utils.z85
except ImportError:
    zmq = None  # type: ignore[assignment]

try:
    import libvirt
except ImportError:
    libvirt = None

try:
    import guestfs
except ImportError:
    guestfs = None

_PACKAGES = {
    "zmq": (zmq, "pyzmq (Debian: python3-zmq)"),
    "libvirt": (libvirt, "libvirt-python (Debian: python3-libvirt)"),
    "guestfs": (guestfs, "the libguestfs binding (Debian: python3-guestfs)"),
}


def need(name: str) -> Any:
    """Return the imported package ``name`` ("zmq", "libvirt" or "guestfs").

    Raises DependencyMissing, which says what to install, when it is not there.
    """
    package, origin = _PACKAGES[name]
    if package is None:
        raise DependencyMissing(f"this Python lacks {origin}")
    return package
