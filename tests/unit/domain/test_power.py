# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each state that a domain may be in, and each that it shall be in: the steps in between."""

from __future__ import annotations

import itertools

import pytest
from maglica.domain.power import STATES, Act, Power, acts, is_lost
from maglica.libvirtd.facts import _STATES

EACH = list(itertools.product(Power, STATES))
# What libvirt does, and from which state only it takes it.
DOES = {
    Act.CREATE: (("stopped",), "running"),
    Act.CREATE_PAUSED: (("stopped",), "paused"),
    Act.RESUME: (("paused",), "running"),
    Act.WAKE: (("suspended",), "running"),
    Act.PAUSE: (("running", "unknown"), "paused"),
    Act.SHUT_DOWN: (("running", "unknown", "stopping"), "stopped"),
    Act.DESTROY: (STATES, "stopped"),
    Act.SETTLE: (("stopping",), "stopped"),
}
AFTER = {
    Power.RUNNING: ("running", "unknown"),
    Power.PAUSED: ("paused",),
    Power.STOPPED: ("stopped",),
    Power.RESTARTED: ("running",),
}


def test_every_state_of_libvirt_is_there() -> None:
    assert set(STATES) == set(_STATES)


@pytest.mark.parametrize(("wanted", "state"), EACH)
def test_the_steps_lead_there_and_each_can_be_taken(wanted: Power, state: str) -> None:
    now = state
    for act in acts(wanted, state):
        before, after = DOES[act]
        assert now in before, act
        now = after
    assert now in AFTER[wanted]


@pytest.mark.parametrize(("wanted", "state"), EACH)
def test_no_step_is_in_vain(wanted: Power, state: str) -> None:
    steps = acts(wanted, state)
    is_so = state in AFTER[wanted] and wanted is not Power.RESTARTED
    assert (not steps) == is_so
    assert len(set(steps)) == len(steps)


@pytest.mark.parametrize(("wanted", "state"), EACH)
def test_the_plug_is_pulled_of_what_has_crashed_only(wanted: Power, state: str) -> None:
    """A guest that can obey is asked, and no run is ended but to be off, or started anew."""
    steps = acts(wanted, state)
    assert (Act.DESTROY in steps) == (state == "crashed")
    ends = wanted in (Power.STOPPED, Power.RESTARTED)
    assert (Act.SHUT_DOWN in steps) == (ends and state not in ("crashed", "stopped"))


def test_the_table() -> None:
    """As it is written in the documentation."""
    assert acts(Power.RUNNING, "paused") == (Act.RESUME,)
    assert acts(Power.RUNNING, "suspended") == (Act.WAKE,)
    assert acts(Power.RUNNING, "crashed") == (Act.DESTROY, Act.CREATE)
    assert acts(Power.RUNNING, "stopping") == (Act.SETTLE, Act.CREATE)
    assert acts(Power.STOPPED, "paused") == (Act.RESUME, Act.SHUT_DOWN)
    assert acts(Power.STOPPED, "crashed") == (Act.DESTROY,)
    assert acts(Power.RESTARTED, "suspended") == (Act.WAKE, Act.SHUT_DOWN, Act.CREATE)
    assert acts(Power.PAUSED, "suspended") == (Act.WAKE, Act.PAUSE)
    assert acts(Power.PAUSED, "stopped") == (Act.CREATE_PAUSED,)
    assert acts(Power.PAUSED, "crashed") == (Act.DESTROY, Act.CREATE_PAUSED)


@pytest.mark.parametrize(("wanted", "state"), EACH)
def test_what_is_transient_is_lost_where_it_would_have_to_be_started_again(
    wanted: Power, state: str
) -> None:
    steps = acts(wanted, state)
    assert not is_lost(steps, is_persistent=True)
    starts = bool(steps) and steps[-1] in (Act.CREATE, Act.CREATE_PAUSED)
    assert is_lost(steps, is_persistent=False) == (starts and len(steps) > 1)
