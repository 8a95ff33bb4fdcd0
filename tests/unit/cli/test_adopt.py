# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm adopt`` and ``disown``, and what becomes of an adopted vm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from support.cli_runs import DONE, VM, FakeFleet, Ran
from support.fake_client import FakeClient

HOST, UUID = "host1.example.jp", "7e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
DISK = "/srv/vms/old.qcow2"


def adopted() -> None:
    """Let the vm of others that is there be an adopted one."""
    FakeFleet.domains[:] = [
        replace(each, adopted=True, foreign_disks=(DISK,)) if each.name == "old" else each
        for each in FakeFleet.domains
    ]


def test_a_vm_of_others_is_taken_over(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [{**DONE, "vm": replace(VM, name="old", host=HOST, adopted=True)}]
    assert run("vm", "adopt", "old").out.startswith(f"old is running on {HOST} (")
    (request,) = fake.list()
    assert (request.kind, request.spec.uuid, request.spec.host) == ("adopt", UUID, HOST)
    assert run("vm", "adopt", "nobody").err == "maglica: there is no vm nobody\n"


def test_it_is_given_back(run: Callable[..., Ran], fake: FakeClient) -> None:
    assert run("vm", "disown", "old").out == f"old is running on {HOST}: nothing to do\n"
    adopted()
    run("vm", "disown", "old", "--no-wait")
    assert [request.kind for request in fake.list()] == ["disown"]


def test_it_is_shown_as_what_it_is(run: Callable[..., Ran]) -> None:
    adopted()
    (line,) = (line for line in run("vm", "list").out.splitlines() if line.startswith("old "))
    assert "adopted" in line.split()
    shown = run("vm", "show", "old").out.splitlines()
    assert "made by:          somebody else, and adopted" in shown
    assert f"foreign disk:     {DISK}" in shown


def test_it_is_removed_only_with_its_disks(run: Callable[..., Ran], fake: FakeClient) -> None:
    adopted()
    refused = run("vm", "remove", "old", "--force")
    assert (refused.status, fake.list()) == (4, ())
    assert DISK in refused.err
    gone = replace(VM, name="old", host=HOST, state="absent", active=False, foreign_disks=(DISK,))
    fake.story = [{**DONE, "vm": gone}]
    removed = run("vm", "remove", "old", "--force", "--remove-foreign-disks")
    assert removed.out.rstrip().endswith(f"; removed with it: {DISK}")
    (request,) = fake.list()
    assert (request.kind, request.spec.remove_foreign_disks) == ("remove", True)


def test_its_disks_are_not_flattened(run: Callable[..., Ran], fake: FakeClient) -> None:
    adopted()
    refused = run("vm", "flatten", "old")
    assert (refused.status, fake.list()) == (4, ())
    assert "its disks are left as they are" in refused.err
