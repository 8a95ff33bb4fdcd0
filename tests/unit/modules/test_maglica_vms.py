# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's main function with a fake task: parameters in, result or failure out."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils import _ansible
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage import (
    group,
    target,
    wanted,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import errors
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import request as model
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.vm import Domain
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.clone import CloneSpec
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.table import Presence
from ansible_collections.maglica.cloud.plugins.modules import maglica_vm, maglica_vms

IMAGE, HOST = "debian12.original", "kvm0.example.jp"
REQUEST = model.Request(
    id="2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e",
    spec=CloneSpec("a", IMAGE, root_password="$6$salt$hashhash"),
    state=model.State.DONE,
    host=HOST,
    created=100.0,
    updated=101.5,
)
# What the others say, or are to be, leaves two that have what is said for all.
TWO = [
    {"name": "a"},
    {"name": "b"},
    {"name": "c", "hostname": "c", "interfaces": []},
    {"name": "d", "state": "absent"},
]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the task was asked for; ``members`` or ``error`` is what it answers."""
    seen: dict[str, Any] = {"members": []}

    class FakeTask:
        def __init__(self, *_parts: object, **_named: object) -> None:
            seen["fleet"], seen["waiting"] = _parts[1:3]

        def _answer(self, how: str, asked: object) -> list[target.Target]:
            seen.update(how=how, asked=asked)
            if "error" in seen:
                raise seen["error"]
            return seen["members"]

        def bring(self, asked: object) -> list[target.Target]:
            return self._answer("bring", asked)

        def foresee(self, asked: object) -> list[target.Target]:
            return self._answer("foresee", asked)

    monkeypatch.setattr(maglica_vms, "Task", FakeTask)
    return seen


@pytest.fixture
def run(run_module: Run, task: dict[str, Any]) -> Run:
    return functools.partial(run_module, maglica_vms)


def test_a_pattern_with_a_count(run: Run, task: dict[str, Any]) -> None:
    result = run(name="web%02d.example.jp", count=3, image=IMAGE, memory=64)
    assert result["vms"] == []
    assert task["how"] == "bring"
    assert task["waiting"] == target.Waiting()
    assert task["asked"] == group.Group(
        group.Pattern("web%02d.example.jp", "web", 2, ".example.jp"),
        wanted.want("web01.example.jp", image=IMAGE, memory_mib=64),
        3,
    )
    run(name="Web_%d", hostname="web-%d", count=1, image=IMAGE, first=4)
    (vm,) = group.choose(task["asked"], (), ())
    assert (vm.name, vm.clone.hostname) == ("Web_4", "web-4")
    run(name="web%d", exact_count=0, first=0, state="stopped")
    asked = task["asked"]
    assert (asked.count, asked.exact, asked.first) == (0, True, 0)
    assert asked.model.state is Presence.STOPPED
    run(name="web%d", state="absent", _ansible_check_mode=True)
    assert task["how"] == "foresee"


def test_a_list_with_common_options(run: Run, task: dict[str, Any]) -> None:
    nic = {"network": "default", "mac": "52:54:00:AA:BB:CC"}
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me"
    run(
        vms=[
            {"name": "a", "memory": 1024, "interfaces": [], "force": False, "customize": "offline"},
            {"name": "b", "state": "absent"},
            {
                "name": "c",
                "clone_mode": "full",
                "ssh_authorized_keys": [],
                "host": HOST,
                "user": {"name": "c"},
            },
        ],
        image=IMAGE,
        memory=512,
        interfaces=[nic],
        ssh_authorized_keys=[key],
        root_password="$6$salt$hashhash",
        user={"name": "all", "password": "$6$salt$hashhash"},
        force=True,
        stop_timeout=7,
        state="running",
        wait=False,
        wait_for="address",
        wait_timeout=9,
        auth_file="/etc/libvirt/auth.conf",
    )
    assert task["fleet"].auth_file == "/etc/libvirt/auth.conf"
    common: dict[str, Any] = {
        "state": Presence.RUNNING,
        "image": IMAGE,
        "memory_mib": 512,
        "interfaces": (model.Nic(network="default", mac="52:54:00:aa:bb:cc"),),
        "ssh_authorized_keys": (key,),
        "root_password": "$6$salt$hashhash",
        "user": model.User("all", password="$6$salt$hashhash"),
        "force": True,
        "stop_timeout": 7,
    }
    assert task["asked"] == [
        wanted.want(
            "a",
            **{
                **common,
                "memory_mib": 1024,
                "interfaces": (),
                "force": False,
                "customize": model.Customize.OFFLINE,
            },
        ),
        wanted.want("b", **{**common, "state": Presence.ABSENT}),
        wanted.want(
            "c",
            **{**common, "ssh_authorized_keys": (), "host": HOST, "user": model.User("c")},
            clone_mode=model.CloneMode.FULL,
        ),
    ]
    assert task["waiting"] == target.Waiting(False, target.WaitFor.ADDRESS, 9)


def member(name: str, state: str = "present", **fields: Any) -> target.Target:
    return target.Target(wanted.want(name, Presence(state)), **fields)


MEMBERS = (
    member("a", changed=True, vm={"name": "a", "host": HOST}, request=REQUEST, after={"x": 1}),
    member("b", vm={"name": "b", "host": HOST}),
    member("c", "absent", changed=True, before={"host": HOST}),
    member("d", "absent"),
)


def test_the_result(run: Run, task: dict[str, Any]) -> None:
    task["members"] = list(MEMBERS)
    result = run(vms=[{"name": "a"}], _ansible_diff=True)
    assert result["changed"] is True
    assert result["vms"] == [
        {"name": "a", "host": HOST, "changed": True},
        {"name": "b", "host": HOST, "changed": False},
    ]
    assert result["removed"] == [
        {"name": "c", "host": HOST, "changed": True, "foreign_disks": []},
        {"name": "d", "host": None, "changed": False, "foreign_disks": []},
    ]
    assert [(each["name"], each["seconds"]) for each in result["requests"]] == [("a", 1.5)]
    assert result["diff"] == {
        "before": {"a": {"x": None}, "c": {"host": HOST}},
        "after": {"a": {"x": 1}, "c": {"host": None}},
    }
    assert "hashhash" not in json.dumps({**result, "invocation": None})
    task["members"] = [MEMBERS[1], MEMBERS[3]]
    result = run(vms=[{"name": "a"}], _ansible_diff=True)
    assert (result["changed"], "diff" in result) == (False, False)
    assert "diff" not in run(vms=[{"name": "a"}])


def test_the_failed_ones_are_named_with_their_causes(run: Run, task: dict[str, Any]) -> None:
    lost: Sequence[target.Target] = [
        member("e", changed=True, request=REQUEST, error=errors.NoRoom("pool x is full")),
        member("f", changed=True, done=True, error=errors.RequestTimeout("cannot wait longer")),
        member("g", "absent", before={"host": HOST}, error=errors.StorageFailed("busy")),
    ]
    task["members"] = [*MEMBERS, *lost]
    result = run(vms=[{"name": "a"}], _ansible_diff=True)
    assert result["failed"]
    assert result["changed"]
    assert result["code"] == "no_room"
    assert result["msg"] == "3 of 7 vms failed: e: pool x is full; f: cannot wait longer; g: busy"
    # One that has failed has all the keys of one that is there.
    domain = Domain("e", "u", HOST, "running", True)
    vm = _ansible.shown.of_domain(domain)
    assert result["vms"][2].keys() == {*vm, "changed", "failed", "code", "msg"}
    assert {key: value for key, value in result["vms"][2].items() if value not in (None, [])} == {
        "name": "e",
        "changed": False,
        "failed": True,
        "code": "no_room",
        "msg": "pool x is full",
        "host": HOST,
    }
    assert [each["changed"] for each in result["vms"]] == [True, False, False, True, False]
    assert [each["name"] for each in result["vms"]] == ["a", "b", "e", "f", "g"]
    assert [each["name"] for each in result["removed"]] == ["c", "d"]
    assert result["diff"]["after"].keys() == {"a", "c", "f"}


def test_an_error_against_all(run: Run, task: dict[str, Any]) -> None:
    task["error"] = errors.NoRoom("nothing was done for 3 requests: no room")
    result = run(vms=[{"name": "a"}])
    assert (result["code"], result["msg"]) == ("no_room", str(task["error"]))
    assert "vms" not in result


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "one of the following is required: vms, name, filters"),
        ({"vms": [], "filters": []}, "mutually exclusive: vms|filters"),
        ({"filters": [], "host": HOST}, "mutually exclusive: filters|host"),
        ({"filters": []}, "filters go with adopt"),
        ({"filters": [], "adopt": True}, "filters: the list is empty"),
        ({"filters": [{}], "adopt": True}, "filters: one has no condition"),
        ({"filters": [{"name": ["a"]}], "adopt": True, "prune_tag": "x"}, "prune_tag|filters"),
        ({"vms": None, "prune_tag": "shop"}, "prune_tag goes with vms"),
        ({"vms": [{"name": "a", "adopt": False}], "prune_tag": "shop"}, "with adopt=false it has"),
        ({"filters": [{"name": ["~("]}], "adopt": True}, "filters: the filter's '~('"),
        ({"name": "w%d", "count": 1, "adopt": True}, "adopt goes with vms or filters"),
        ({"vms": [{"name": "a"}], "adopt": True, "state": "absent"}, "adopt it first"),
        ({"vms": [{"name": "a"}], "adopt": False, "memory": "1GiB"}, "leave out memory"),
        ({"vms": [], "name": "w%d", "count": 1}, "mutually exclusive: vms|name"),
        ({"vms": [], "count": 1}, "mutually exclusive: vms|count"),
        ({"vms": [], "first": 0}, "mutually exclusive: vms|first"),
        ({"vms": [], "exact_count": 1}, "mutually exclusive: vms|exact_count"),
        ({"name": "w%d", "count": 1, "exact_count": 1}, "exclusive: count|exact_count"),
        ({"name": "w%d"}, "count or exact_count is needed with name"),
        ({"name": "w%d", "first": 0, "state": "absent"}, "first makes no sense"),
        ({"name": "w%d", "exact_count": 1, "state": "absent"}, "exact_count makes no sense"),
        ({"name": "w%d", "count": 1, "state": "absent"}, "count makes no sense"),
        ({"name": "w%d", "count": -1}, "count is below 0"),
        ({"name": "w%d", "exact_count": -1}, "exact_count is below 0"),
        ({"name": "w%d", "count": 1, "first": -1}, "first is below 0"),
        ({"name": "web", "count": 1}, "'web' is not a pattern of names"),
        ({"name": "Web%d", "count": 1, "image": IMAGE}, "hostname: needed, since 'Web1' is no"),
        ({"name": "Web%d", "count": 1, "hostname": "web"}, "'web' is not a pattern of names"),
        ({"filters": [], "first": 2, "adopt": True}, "mutually exclusive: filters|first"),
        (
            {"vms": TWO, "hostname": "web"},
            "hostname: a, b would have the same: say it in each entry of vms",
        ),
        (
            {"vms": TWO, "interfaces": [{}, {"mac": "52:54:00:00:00:01"}]},
            "interfaces[1]: a, b would have the same MAC address: say",
        ),
        (
            {"vms": TWO, "interfaces": [{"addresses": ["192.0.2.7/24"]}]},
            "interfaces[0]: a, b would have the same addresses: say",
        ),
        ({"vms": [{"image": "x"}]}, "missing required arguments: name found in vms"),
        ({"vms": [{"name": "x", "wait": True}]}, "vms.wait"),
    ],
)
def test_bad_parameters(run: Run, arguments: dict[str, object], why: str) -> None:
    result = run(**arguments)
    assert result["failed"]
    assert why in result["msg"]


def test_what_is_returned_is_documented() -> None:
    documented = yaml.safe_load(maglica_vms.RETURN)
    request = {"name", *_ansible.shown.of_request(REQUEST)}
    assert documented["requests"]["contains"].keys() == request
    assert documented["requests"]["sample"][0].keys() == request
    removed = {"name", "host", "changed", "foreign_disks"}
    assert documented["removed"]["contains"].keys() == removed
    assert documented["removed"]["sample"][0].keys() == removed
    domain = Domain("a", "u", HOST, "running", True)
    vm = {"changed", *_ansible.shown.of_domain(domain)}
    assert documented["vms"]["contains"].keys() == vm | {"failed", "code", "msg"}
    assert documented["vms"]["sample"][0].keys() == vm


def test_the_options_are_those_of_one_vm() -> None:
    many = yaml.safe_load(maglica_vms.DOCUMENTATION)["options"]
    one = yaml.safe_load(maglica_vm.DOCUMENTATION)["options"]
    assert many.keys() == {*one, "vms", "count", "exact_count", "first", "filters", "prune_tag"}
    for name, option in one.items():
        if name in many["vms"]["suboptions"] and name != "name":
            shown = many["vms"]["suboptions"][name]
            assert shown == many[name]
            for field in ("type", "elements", "choices"):
                assert shown.get(field) == option.get(field), name


def test_those_that_meet_a_filter(
    run: Run, task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def find(_fleet: object, filters: Any, adopt: bool) -> list[Domain]:
        asked.append((filters.include[0].patterns, adopt))
        return [Domain("old_db", "u", HOST, "running", True, made=False)]

    monkeypatch.setattr(maglica_vms.adoptable, "find", find)
    run(filters=[{"name": ["old_*"]}], adopt=True, tags=["db"], _ansible_check_mode=True)
    assert asked == [({"name": ("old_*",), "kind": ("vm",)}, True)]
    assert task["how"] == "foresee"
    assert task["asked"] == [wanted.want("old_db", host=HOST, adopt=True, tags=["db"])]
