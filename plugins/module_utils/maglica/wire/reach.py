# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why there is no connection to the client worker. libzmq tries for ever, and never tells."""

from __future__ import annotations

import os
import socket

# Seconds.
_CONNECTS_WITHIN = 2.0


def unresolved(address: str) -> str | None:
    """Return why a name has no address, if that is so for good; None if it has one, or may have."""
    try:
        socket.getaddrinfo(address, None)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return None
        return (
            f"the name {address} has no address ({error.strerror}): correct the client worker's"
            " address in the configuration, or have the name service or /etc/hosts know it"
        )
    except (OSError, UnicodeError) as error:
        return f"the name {address} has no address: {error}"
    return None


def refused(address: str, port: int) -> str | None:
    """Return why nothing can be connected to there, and what to do; None if it can."""
    try:
        socket.create_connection((address, port), _CONNECTS_WITHIN).close()
    except ConnectionRefusedError:
        return (
            f"nothing listens at port {port} there: look on that machine at `systemctl status"
            " maglica-client-worker`"
        )
    except socket.gaierror as error:
        return unresolved(address) or f"the name {address} is not resolved: {error.strerror}"
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error)
        return f"{why}: is that machine on, and does no firewall keep port {port}?"
    return None
