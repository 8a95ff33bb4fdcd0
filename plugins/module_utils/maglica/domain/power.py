# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with a domain so that it runs, is paused, off, or started anew, whatever it does now.

A table, without holes: each state that libvirt knows of, in the words of libvirtd/facts.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Power(str, enum.Enum):
    """How a domain shall be."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    RESTARTED = "restarted"


class Act(str, enum.Enum):
    """One step; after it the domain is in the state that its comment names."""

    CREATE = "create"  # running
    CREATE_PAUSED = "create paused"  # paused
    RESUME = "resume"  # running, from paused
    WAKE = "wake"  # running, from suspended
    PAUSE = "pause"  # paused, from running
    # Its guest is asked to go off; the plug is pulled only where that is asked for, too.
    SHUT_DOWN = "shut down"  # stopped
    # At once: there is no guest that could be asked.
    DESTROY = "destroy"  # stopped
    # It is going off by itself: look again in a moment.
    SETTLE = "settle"  # stopped


# How a guest that is on comes to obey again, if it does not; one that does not fit goes off.
_AWAKE: Mapping[str, tuple[Act, ...]] = {
    "running": (),
    # libvirt does not say; what runs is not to be stopped for that.
    "unknown": (),
    "paused": (Act.RESUME,),
    "suspended": (Act.WAKE,),
}
# How it is off from each state.
_OFF: Mapping[str, tuple[Act, ...]] = {
    **{state: (*acts, Act.SHUT_DOWN) for state, acts in _AWAKE.items()},
    "stopping": (Act.SHUT_DOWN,),
    "crashed": (Act.DESTROY,),
    "stopped": (),
}
# How it is off where it is only so because it is to be started: who runs is left on.
_FOR_START: Mapping[str, tuple[Act, ...]] = {
    "stopping": (Act.SETTLE,),
    "crashed": (Act.DESTROY,),
    "stopped": (),
}
_TABLE: Mapping[Power, Mapping[str, tuple[Act, ...]]] = {
    Power.RUNNING: {
        **_AWAKE,
        **{state: (*acts, Act.CREATE) for state, acts in _FOR_START.items()},
    },
    Power.PAUSED: {
        **{state: (*acts, Act.PAUSE) for state, acts in _AWAKE.items()},
        "paused": (),
        **{state: (*acts, Act.CREATE_PAUSED) for state, acts in _FOR_START.items()},
    },
    Power.STOPPED: _OFF,
    Power.RESTARTED: {state: (*acts, Act.CREATE) for state, acts in _OFF.items()},
}
STATES = tuple(_OFF)


def acts(wanted: Power, state: str) -> tuple[Act, ...]:
    """Return the steps from ``state``, in order; none where it is so already."""
    return _TABLE[wanted][state]


def is_lost(steps: tuple[Act, ...], is_persistent: bool) -> bool:
    """Tell whether a domain would be gone before these steps have started it again: a transient one
    is as soon as it is off.
    """
    starts = not {Act.CREATE, Act.CREATE_PAUSED}.isdisjoint(steps)
    return starts and not is_persistent and steps[0] not in (Act.CREATE, Act.CREATE_PAUSED)
