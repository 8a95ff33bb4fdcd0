# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of (wanted, what is there) → what is asked for, or the error."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet.snapshot import Found
from maglica.libvirtd.hosts import Unreachable
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import Wanted, want
from maglica.model import errors
from maglica.model.errors import NameTaken
from maglica.model.request import CloneMode, Nic, Request, State, User
from maglica.model.vm import Domain
from maglica.verbs.clone import CloneSpec
from maglica.verbs.flatten import FlattenSpec
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.restart import RestartSpec
from maglica.verbs.stop import StopSpec
from maglica.verbs.table import Presence
from maglica.verbs.tag import TagSpec

NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"
UUID = "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11"
RUNNING = Domain(NAME, UUID, HOST, "running", True, made=True, image=IMAGE, vcpus=1, memory_mib=512)
OFF = replace(RUNNING, state="stopped", active=False)
THEIRS = replace(OFF, made=False, is_image=True)
PAUSED = replace(RUNNING, state="paused")
ABSENT, PRESENT, ON, STOPPED, RESTARTED = (
    Presence.ABSENT,
    Presence.PRESENT,
    Presence.RUNNING,
    Presence.STOPPED,
    Presence.RESTARTED,
)
SILENT = Unreachable("kvm1.example.jp", "no answer within 10 s")
FULL = {"clone_mode": CloneMode.FULL}
CLONE, START, STOP, REMOVE, RESIZE = "clone", "start", "stop", "remove", "resize"


def _wanted(**fields: object) -> Wanted:
    return want(**{"name": NAME, "image": IMAGE, **fields})


def _pending(**fields: object) -> Request:
    return Request("r", _wanted(**fields).clone.without_secrets(), State.RUNNING, HOST)


def _decide(domains: tuple[Domain, ...], pending: Request | None = None, **fields: object) -> Plan:
    return decide(_wanted(**fields), Found(domains), pending)


@pytest.mark.parametrize(
    ("domain", "state", "sizes", "kinds"),
    [
        (None, PRESENT, {}, [CLONE]),
        (None, ON, {}, [CLONE]),
        (None, STOPPED, {}, [CLONE]),
        (None, ABSENT, {}, []),
        (RUNNING, PRESENT, {}, []),
        (RUNNING, ON, {}, []),
        (RUNNING, STOPPED, {}, [STOP]),
        (RUNNING, ABSENT, {}, [REMOVE]),
        (OFF, PRESENT, {}, []),
        (OFF, ON, {}, [START]),
        (OFF, STOPPED, {}, []),
        (OFF, ABSENT, {}, [REMOVE]),
        (PAUSED, PRESENT, {}, []),
        (PAUSED, ON, {}, [START]),
        (PAUSED, ON, {"vcpus": 2}, [START, RESIZE]),
        (PAUSED, STOPPED, {}, [STOP]),
        (PAUSED, ABSENT, {}, [REMOVE]),
        (replace(PAUSED, state="crashed"), ON, {}, [START]),
        (replace(PAUSED, state="suspended"), ON, {}, [START]),
        (replace(PAUSED, state="stopping"), ON, {}, [START]),
        (replace(PAUSED, state="unknown"), ON, {}, []),
        (RUNNING, PRESENT, {"vcpus": 1, "memory_mib": 512}, []),
        (RUNNING, PRESENT, {"vcpus": 2}, [RESIZE]),
        (RUNNING, PRESENT, {"memory_mib": 513}, [RESIZE]),
        (RUNNING, STOPPED, {"vcpus": 2}, [STOP, RESIZE]),
        (OFF, ON, {"vcpus": 2}, [RESIZE, START]),
        (RUNNING, ABSENT, {"vcpus": 2}, [REMOVE]),
        (RUNNING, RESTARTED, {}, ["restart"]),
        (OFF, RESTARTED, {}, ["restart"]),
        (PAUSED, RESTARTED, {}, ["restart"]),
        (None, RESTARTED, {}, [CLONE]),
        (RUNNING, RESTARTED, {"vcpus": 2, "tags": ("a",)}, [RESIZE, "tag", "restart"]),
        (replace(PAUSED, clone_mode="linked"), RESTARTED, FULL, ["restart", "flatten"]),
        (RUNNING, PRESENT, {"tags": ("b", "a")}, ["tag"]),
        (RUNNING, PRESENT, {"tags": ()}, []),
        (replace(OFF, tags=("a", "b")), PRESENT, {"tags": ("b", "a", "b")}, []),
        (replace(OFF, tags=("a", "b")), PRESENT, {"tags": None}, []),
        (replace(OFF, tags=("a", "b")), ON, {"tags": (), "vcpus": 2}, [RESIZE, "tag", START]),
        (None, ABSENT, {"vcpus": 2}, []),
        (replace(RUNNING, clone_mode="linked"), PRESENT, FULL, ["flatten"]),
        (replace(RUNNING, clone_mode="full"), PRESENT, FULL, []),
        (replace(RUNNING, clone_mode="full"), PRESENT, {"clone_mode": CloneMode.LINKED}, []),
        (replace(OFF, clone_mode="linked"), STOPPED, FULL, ["flatten"]),
        (replace(OFF, clone_mode="linked"), ON, FULL, ["flatten", START]),
        (replace(PAUSED, clone_mode="linked"), ON, FULL, [START, "flatten"]),
        (replace(RUNNING, clone_mode="linked"), STOPPED, FULL, [STOP, "flatten"]),
    ],
)
@pytest.mark.parametrize("image", [IMAGE, None])
def test_what_is_asked_for(
    domain: Domain | None,
    state: Presence,
    sizes: dict[str, object],
    kinds: list[str],
    image: str | None,
) -> None:
    if image is None and kinds == [CLONE]:
        with pytest.raises(errors.VmUnknown):
            _decide((), state=state, image=None, **sizes)
        return
    plan = _decide((domain,) if domain else (), state=state, image=image, **sizes)
    assert [step.verb for step in plan.steps] == kinds
    assert plan.changed is bool(kinds)
    assert plan.existing == domain
    assert (plan.before != plan.after) is plan.changed


def test_the_spec_of_a_clone() -> None:
    fields = {
        "host": HOST,
        "clone_mode": CloneMode.FULL,
        "pool": "fast",
        "vcpus": 2,
        "memory_mib": 1024,
        "interfaces": (Nic(network="default"),),
        "ssh_authorized_keys": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",),
        "root_password": "$6$salt$hashhash",
    }
    (step,) = _decide((), **fields).steps
    assert step == CloneSpec(name=NAME, image=IMAGE, start=True, **fields)
    (stopped,) = _decide((), state=STOPPED).steps
    assert stopped == CloneSpec(name=NAME, image=IMAGE, start=False)


def test_the_spec_of_a_vm_pins_it() -> None:
    (step,) = _decide((RUNNING,), state=STOPPED, force=True, stop_timeout=7).steps
    assert step == StopSpec(NAME, UUID, HOST, force=True, stop_timeout=7)
    (step,) = _decide((RUNNING,), tags=("web", "a")).steps
    assert step == TagSpec(NAME, UUID, HOST, tags=("a", "web"))
    (step,) = _decide((RUNNING,), vcpus=1, memory_mib=1024).steps
    assert step == ResizeSpec(NAME, UUID, HOST, memory_mib=1024)


def test_before_and_after() -> None:
    plan = _decide((OFF,), state=ON, vcpus=4)
    assert plan.before == {
        "state": "stopped",
        "host": HOST,
        "image": IMAGE,
        "vcpus": 1,
        "memory_mib": 512,
        "tags": [],
    }
    assert plan.after == {**plan.before, "state": "running", "vcpus": 4}
    plan = _decide((PAUSED,), state=ON)
    assert (plan.before["state"], plan.after["state"]) == ("paused", "running")
    plan = _decide((PAUSED,))
    assert plan.before["state"] == plan.after["state"] == "paused"
    plan = _decide((RUNNING,), state=RESTARTED, force=True, stop_timeout=7)
    assert plan.steps == (RestartSpec(NAME, UUID, HOST, force=True, stop_timeout=7),)
    assert (plan.before["restarted"], plan.after["restarted"]) == (False, True)
    assert (plan.before["state"], plan.after["state"]) == ("running", "running")
    plan = _decide((replace(OFF, tags=("b",)),), tags=("web", "a"))
    assert plan.before["tags"] == ["b"]
    assert plan.after == {**plan.before, "tags": ["a", "web"]}
    assert _decide((), tags=("web", "a")).after["tags"] == ["a", "web"]
    plan = _decide((replace(RUNNING, clone_mode="linked"),), **FULL)
    assert plan.before["clone_mode"] == "linked"
    assert plan.after == {**plan.before, "clone_mode": "full"}
    assert plan.steps[0] == FlattenSpec(NAME, UUID, HOST)


@pytest.mark.parametrize(
    ("domains", "fields", "error", "text"),
    [
        ((THEIRS,), {}, errors.NameTaken, "is an original image on host kvm0"),
        (
            (THEIRS, replace(THEIRS, host="kvm1")),
            {},
            errors.NameTaken,
            f"is an original image on {HOST} and kvm1",
        ),
        ((replace(RUNNING, made=False),), {}, errors.NameTaken, "was not made by Maglica"),
        (
            (replace(RUNNING, made=None),),
            {},
            errors.LibvirtFailed,
            f"whether Maglica made vm {NAME} on host {HOST}: its definition can't be read",
        ),
        ((RUNNING,), {"image": "b"}, errors.NameTaken, f"from image {IMAGE}, not b"),
        ((RUNNING,), {"host": "kvm1"}, errors.NameTaken, f"on host {HOST}, not on kvm1"),
        (
            (RUNNING, replace(RUNNING, host="kvm1", uuid="other")),
            {},
            errors.NameTaken,
            f"several hosts have a vm {NAME}: {HOST} and kvm1; set host",
        ),
        (
            (RUNNING, replace(RUNNING, host="kvm1", uuid="other")),
            {"host": "kvm2"},
            errors.NameTaken,
            "set host to say which one",
        ),
        ((), {"image": None}, errors.VmUnknown, f"there is no vm {NAME}; set image"),
    ],
)
@pytest.mark.parametrize("state", list(Presence))
def test_what_is_in_the_way(
    domains: tuple[Domain, ...],
    fields: dict[str, object],
    error: type[Exception],
    text: str,
    state: Presence,
) -> None:
    if not domains and state is ABSENT:
        assert not _decide((), state=state, **fields).changed
        return
    with pytest.raises(error, match=text):
        _decide(domains, state=state, **fields)


@pytest.mark.parametrize("host", [None, HOST, "kvm1"])
def test_of_two_with_one_uuid_none_is_removed(host: str | None) -> None:
    twins = (RUNNING, replace(OFF, host="kvm1"))
    with pytest.raises(errors.UuidTwice, match=f"{NAME}: hosts {HOST} and kvm1 each .* {UUID}"):
        _decide(twins, state=ABSENT, host=host)
    if host is not None:
        assert _decide(twins, state=PRESENT, host=host).steps == ()


def test_an_image_of_that_name_is_no_vm_be_it_on_two_hosts() -> None:
    image = replace(OFF, made=True, is_image=True)
    for domains in ((image,), (image, replace(image, host="kvm1"))):
        with pytest.raises(errors.NameTaken, match=f"{NAME} is an original image on .*, not a vm"):
            _decide(domains, state=ABSENT)


def test_the_host_tells_which_of_two_is_meant() -> None:
    other = replace(RUNNING, host="kvm1", uuid="other")
    plan = _decide((RUNNING, other), host="kvm1", state=ABSENT)
    assert plan.existing == other


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, None),
        ({"image": None}, errors.HostDown),
        ({"state": ABSENT}, errors.HostDown),
        ({"state": ABSENT, "host": SILENT.host}, errors.HostDown),
        ({"state": ABSENT, "host": HOST}, None),
    ],
)
def test_a_host_that_does_not_answer(
    fields: dict[str, object], error: type[Exception] | None
) -> None:
    found = Found((), (SILENT,))
    if error is None:
        decide(_wanted(**fields), found, None)
        return
    with pytest.raises(error, match=r"kvm1\.example\.jp: no answer within 10 s"):
        decide(_wanted(**fields), found, None)


@pytest.mark.parametrize("domains", [(), (OFF,)])
@pytest.mark.parametrize("state", [PRESENT, ON])
def test_an_open_request_for_this_very_vm_is_joined(
    domains: tuple[Domain, ...], state: Presence
) -> None:
    pending = _pending(root_password="$6$salt$hashhash")
    plan = _decide(domains, pending, state=state, root_password="$6$salt$hashhash")
    assert (plan.joined, plan.ours, plan.steps) == (pending, True, ())
    assert plan.changed
    assert plan.after["host"] == HOST
    assert _decide(domains, pending, host=HOST).ours


def test_what_nobody_is_told_of_an_open_request_does_not_count() -> None:
    given = {"user": {"name": "admin", "password": "$6$salt$hashhash"}, "user_data": "#!/bin/sh"}
    told = replace(_pending(user=User("admin")), state=State.RUNNING)
    assert _decide((), told, **given).ours
    with pytest.raises(NameTaken, match="another user "):
        _decide((), told, user={"name": "other"})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"image": "b"}, "another image "),
        ({"host": "kvm1"}, "another host "),
        ({"image": None, "host": "kvm1"}, "another host "),
        ({"state": ABSENT, "image": None, "host": "kvm1"}, "another host "),
        ({"state": ABSENT, "image": "b"}, "another image "),
        ({"interfaces": (), "pool": "p"}, "another pool and interfaces "),
        ({"disk_size_mib": 20480}, "another disk_size "),
        ({"customize": "none"}, "another customize "),
        ({"memory_mib": 64, "state": STOPPED, "new": True}, "another memory and state "),
    ],
)
def test_an_open_request_for_another_vm_is_in_the_way(fields: dict[str, object], text: str) -> None:
    with pytest.raises(errors.NameTaken, match=text):
        _decide((), _pending(), **fields)


def test_an_open_request_is_waited_for_when_no_image_is_named() -> None:
    plan = _decide((), _pending(), image=None, state=ON)
    assert (plan.joined, plan.ours, plan.changed) == (_pending(), False, False)


@pytest.mark.parametrize("image", [None, IMAGE])
def test_what_an_open_request_makes_is_changed_later(image: str | None) -> None:
    fields = {"state": STOPPED, "tags": ("web",), "vcpus": 2, **FULL}
    plan = _decide((), _pending(), image=image, **fields)
    assert [step.verb for step in plan.steps] == [STOP, RESIZE, "tag", "flatten"]
    assert (plan.joined, plan.ours, plan.changed) == (_pending(), image is not None, True)
    assert plan.before["state"] == ("running" if image is None else "absent")
    changed = {"state": "stopped", "vcpus": 2, "tags": ["web"], "clone_mode": "full"}
    assert changed.items() <= plan.after.items()
    assert (plan.after["host"], plan.after["image"]) == (HOST, IMAGE)
    same = _decide((), _pending(**fields), image=image, **fields)
    assert same.steps == ()
    # A linked vm is what is made where nothing is said: a full one may stay so.
    assert _decide((), _pending(**FULL), image=image).steps == ()


@pytest.mark.parametrize("vcpus", [None, 2])
def test_an_open_request_that_is_being_cancelled_is_not_joined(vcpus: int | None) -> None:
    pending = replace(_pending(), cancelling=True)
    plan = _decide((), pending, vcpus=vcpus)
    assert (plan.joined, plan.ours, plan.steps) == (pending, False, ())
    assert (plan.before, plan.after["state"]) == ({"state": "absent"}, "running")
    assert "host" not in plan.after


@pytest.mark.parametrize("domains", [(), (OFF,)])
def test_an_open_request_is_cancelled_to_remove(domains: tuple[Domain, ...]) -> None:
    plan = _decide(domains, _pending(), state=ABSENT)
    assert (plan.joined, plan.cancel, plan.steps) == (_pending(), True, ())
    assert plan.changed
