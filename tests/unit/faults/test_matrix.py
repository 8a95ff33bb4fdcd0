# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from faults import matrix, rubbish
from maglica.client_worker.access import ALLOWED
from maglica.client_worker.dispatch import HANDLERS
from maglica.model.request import Role
from maglica.wire import messages


def test_no_type_is_left_out() -> None:
    types = messages.ASKED.keys()
    assert matrix.EXPECTED.keys() == matrix.BODIES.keys() == HANDLERS.keys() == types
    assert rubbish.VALID.keys() == types


def test_every_type_that_speaks_for_a_host_is_held_to_it() -> None:
    assert {kind for kind, (checks, _required) in messages.ASKED.items() if "host" in checks} == (
        matrix.FROM_HOSTS
    )


def test_the_table_in_force_is_the_expected_one() -> None:
    found = {
        kind: frozenset(role.value for role in Role if kind in ALLOWED[role])
        for kind in messages.ASKED
    }
    assert found == matrix.EXPECTED
