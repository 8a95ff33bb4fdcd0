# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for of vms that others made: taken over, changed, given back, removed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import want
from maglica.model import errors
from maglica.model.request import CloneMode
from maglica.model.vm import Domain
from maglica.verbs.adopt import AdoptSpec
from maglica.verbs.disown import DisownSpec
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.table import Presence

NAME, HOST, UUID = "old_db", "kvm0.example.jp", "0b9f3c52-7f3e-4d7f-9d1b-6a1f0c5d2e11"
PINNED = (NAME, UUID, HOST)
DISK = "/srv/vms/old_db.qcow2"
THEIRS = Domain(NAME, UUID, HOST, "running", True, made=False, vcpus=1, memory_mib=512)
IMAGE = replace(THEIRS, state="stopped", active=False, is_image=True)
ADOPTED = replace(THEIRS, adopted=True, tags=("db",), foreign_disks=(DISK,))
OURS = replace(THEIRS, made=True, image="debian")
ELSEWHERE = "kvm1.example.jp"


def _decide(*domains: Domain, **fields: object) -> Plan:
    return decide(want(NAME, **fields), Found(domains), None)


def _kinds(plan: Plan) -> list[str]:
    return [spec.verb for spec in plan.steps]


@pytest.mark.parametrize("domain", [THEIRS, IMAGE], ids=["vm", "image"])
def test_a_domain_of_others_is_taken_over_first(domain: Domain) -> None:
    plan = _decide(domain, adopt=True, tags=["db"], vcpus=2)
    assert plan.steps[0] == AdoptSpec(*PINNED)
    assert _kinds(plan) == ["adopt", "resize", "tag"]
    assert (plan.before["adopted"], plan.after["adopted"]) == (False, True)


def test_it_is_let_go_on_after_that() -> None:
    plan = _decide(replace(THEIRS, state="paused"), adopt=True, state=Presence.RUNNING)
    assert _kinds(plan) == ["adopt", "start"]


@pytest.mark.parametrize("domain", [ADOPTED, OURS], ids=["adopted", "made"])
def test_what_is_ours_needs_no_adoption(domain: Domain) -> None:
    assert _decide(domain, adopt=True).steps == ()


def test_an_adopted_vm_is_a_vm() -> None:
    assert _kinds(_decide(ADOPTED, state=Presence.STOPPED, vcpus=2)) == ["stop", "resize"]
    assert _decide(ADOPTED).steps == ()


def test_it_is_given_back() -> None:
    plan = _decide(ADOPTED, adopt=False)
    assert plan.steps == (DisownSpec(*PINNED),)
    assert (plan.before["adopted"], plan.after["adopted"]) == (True, False)
    assert (plan.before["tags"], plan.after["tags"]) == (["db"], [])


def test_a_protected_one_is_not_given_back() -> None:
    with pytest.raises(errors.VmProtected, match=f"cannot disown {NAME} on host {HOST}: it is pro"):
        _decide(replace(ADOPTED, protected=True), adopt=False)
    assert not _decide(replace(ADOPTED, protected=True), adopt=True).changed


@pytest.mark.parametrize("domain", [THEIRS, IMAGE, OURS], ids=["vm", "image", "made"])
def test_what_is_not_adopted_stays_as_it_is(domain: Domain) -> None:
    assert not _decide(domain, adopt=False).changed


def test_its_disks_go_only_where_that_is_said() -> None:
    with pytest.raises(errors.NotOwn, match=rf"remove_foreign_disks=true .*{DISK}.*adopt=false"):
        _decide(ADOPTED, state=Presence.ABSENT)
    plan = _decide(ADOPTED, state=Presence.ABSENT, remove_foreign_disks=True)
    assert plan.steps == (RemoveSpec(*PINNED, remove_foreign_disks=True),)
    assert (plan.before["foreign_disks"], plan.after["foreign_disks"]) == ([DISK], [])


def test_for_a_vm_that_maglica_made_it_means_nothing() -> None:
    plan = _decide(OURS, state=Presence.ABSENT, remove_foreign_disks=True)
    assert plan.steps == (RemoveSpec(*PINNED),)
    assert "foreign_disks" not in plan.before


@pytest.mark.parametrize(
    ("domains", "fields", "error", "text"),
    [
        ((THEIRS,), {}, errors.NameTaken, r"not made by Maglica.*\(adopt would take it over\)"),
        ((IMAGE,), {}, errors.NameTaken, "is an original image"),
        ((replace(IMAGE, made=True),), {"adopt": True}, errors.NameTaken, "original image"),
        ((), {"adopt": True}, errors.VmUnknown, f"there is no vm {NAME}$"),
        (
            (ADOPTED,),
            {"image": "debian", "hostname": "db"},
            errors.NameTaken,
            "was adopted, not made from image",
        ),
        ((ADOPTED,), {"clone_mode": CloneMode.FULL}, errors.NotOwn, "its disks are left as they"),
        ((THEIRS,), {"adopt": True, "host": ELSEWHERE}, errors.NameTaken, "vms are not moved"),
        ((replace(THEIRS, made=None),), {"adopt": True}, errors.LibvirtFailed, "cannot tell"),
    ],
)
def test_what_is_in_the_way(
    domains: tuple[Domain, ...], fields: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        _decide(*domains, **fields)


@pytest.mark.parametrize("domain", [THEIRS, ADOPTED], ids=["to adopt", "to remove"])
def test_of_two_with_one_uuid_none_is_touched(domain: Domain) -> None:
    fields = {"state": Presence.ABSENT} if domain.adopted else {"adopt": True}
    verb = "remove" if domain.adopted else "adopt"
    with pytest.raises(errors.UuidTwice, match=rf"cannot {verb} {NAME}: .* then {verb} it"):
        _decide(domain, replace(domain, host=ELSEWHERE), host=HOST, **fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"adopt": True, "state": Presence.ABSENT}, "adopt it first"),
        ({"adopt": True, "image": "debian13"}, "no image is needed"),
        ({"adopt": False, "image": "debian13"}, "leave out image"),
        ({"adopt": False, "state": Presence.STOPPED, "tags": []}, "leave out state and tags"),
        ({"adopt": False, "memory_mib": 64, "vcpus": 1}, "leave out vcpus and memory"),
        ({"adopt": False, "disks": [{"name": "data", "size_mib": 64}]}, "leave out disks"),
        ({"adopt": False, "cdrom": {"present": False}}, "leave out cdrom"),
        ({"adopt": False, "boot_order": ["network"]}, "leave out boot_order"),
        ({"adopt": False, "interfaces": [{"network": "default"}]}, "leave out interfaces"),
    ],
)
def test_what_makes_no_sense_beside_it(fields: dict[str, object], text: str) -> None:
    with pytest.raises(errors.NameInvalid, match=f"adopt: .*{text}"):
        want(NAME, **fields)
