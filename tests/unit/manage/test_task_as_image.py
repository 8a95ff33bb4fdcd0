# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image has and its vm shall not have, in a whole task, on a fake cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.model.vm import Disk
from support.vm_fake import FakeCell
from support.vm_suite import HOSTS, IMAGE, bring, foresee


def cell_with(**of_image: Any) -> FakeCell:
    cell = FakeCell()
    for host in HOSTS:
        cell.domains[host, IMAGE] = replace(cell.domains[host, IMAGE], **of_image)
    return cell


@pytest.mark.parametrize("said", [{}, {"description": ""}, {"description": "web"}])
def test_a_new_vm_has_the_description_that_is_said(said: dict[str, Any]) -> None:
    cell = cell_with(description="Debian, as it came")
    expected = said["description"] or None if said else "Debian, as it came"
    foreseen, made = foresee(cell, **said), bring(cell, **said)
    assert made.vm is not None
    assert made.vm["description"] == expected
    assert foreseen.after.get("description") == made.after.get("description")
    again = bring(cell, **said)
    assert (again.changed, again.request) == (False, None)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ({}, "/srv/install.iso"),
        ({"cdrom": {"present": False}}, None),
        ({"cdrom": {"path": "/srv/a.iso"}}, "/srv/a.iso"),
    ],
)
def test_a_new_vm_has_the_medium_that_is_said(said: dict[str, Any], source: str | None) -> None:
    cell = cell_with(disks=(Disk("sda", "cdrom", source="/srv/install.iso"),))
    foreseen, made = foresee(cell, **said), bring(cell, **said)
    assert made.vm is not None
    assert [disk["source"] for disk in made.vm["disks"]] == [source]
    assert foreseen.after.get("cdrom") == made.after.get("cdrom")
    again = bring(cell, **said)
    assert (again.changed, again.request) == (False, None)
