# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options of a vm that is there are named, since they change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import want
from maglica.model.request import CloneMode
from maglica.model.vm import Domain

NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"
THERE = Domain(NAME, "u", HOST, "running", True, made=True, image=IMAGE, clone_mode="linked")


def _plan(*there: Domain, **asked: object) -> Plan:
    return decide(want(NAME, image=IMAGE, **asked), Found(there), None)


@pytest.mark.parametrize(
    ("there", "asked", "kept"),
    [
        ("full", CloneMode.LINKED, ("clone_mode",)),
        ("full", CloneMode.FULL, ()),
        ("full", None, ()),
        ("linked", CloneMode.FULL, ()),
        ("linked", CloneMode.LINKED, ()),
        ("linked", None, ()),
    ],
)
def test_a_full_vm_stays_so_and_that_is_said(
    there: str, asked: CloneMode | None, kept: tuple[str, ...]
) -> None:
    assert _plan(replace(THERE, clone_mode=there), clone_mode=asked).kept == kept
    (made,) = _plan(clone_mode=asked).steps
    assert made.clone_mode is (asked or CloneMode.LINKED)
