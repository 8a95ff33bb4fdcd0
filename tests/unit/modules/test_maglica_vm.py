# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's main function with a fake cell: parameters in, result or failure out."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils import _ansible
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage import target, wanted
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import errors, request
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.vm import Domain
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.clone import CloneSpec
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.table import Presence
from ansible_collections.maglica.cloud.plugins.modules import maglica_vm

NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"
REQUEST = request.Request(
    id="2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e",
    spec=CloneSpec(NAME, IMAGE, root_password="$6$salt$hashhash"),
    state=request.State.RUNNING,
    host=HOST,
    created=100.0,
    updated=101.5,
    phase="copy",
)
VM = {"name": NAME, "host": HOST, "state": "running"}


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the task was asked for; ``outcome`` or ``error`` is what it answers."""
    seen: dict[str, Any] = {"member": {}}

    class FakeTask:
        def __init__(
            self, client: object, hosts: object, waiting: object, tell: Any, **_more: object
        ) -> None:
            seen.update(hosts=hosts, waiting=waiting)
            self.tell = tell

        def _answer(self, how: str, asked: list[wanted.Wanted]) -> list[target.Target]:
            (wanted,) = asked
            seen.update(how=how, wanted=wanted)
            if "told" in seen:
                self.tell(seen["told"])
            if "error" in seen:
                raise seen["error"]
            return [target.Target(wanted, **seen["member"])]

        def bring(self, asked: list[wanted.Wanted]) -> list[target.Target]:
            return self._answer("bring", asked)

        def foresee(self, asked: list[wanted.Wanted]) -> list[target.Target]:
            return self._answer("foresee", asked)

    monkeypatch.setattr(maglica_vm, "Task", FakeTask)
    return seen


@pytest.fixture
def run(run_module: Run, bring: dict[str, Any]) -> Run:
    return functools.partial(run_module, maglica_vm, name=NAME)


def test_the_least(run: Run, bring: dict[str, Any]) -> None:
    assert run(image=IMAGE)["changed"] is False
    assert bring["wanted"] == wanted.want(NAME, image=IMAGE)
    assert bring["waiting"] == target.Waiting()
    assert [host.name for host in bring["hosts"].hosts] == [HOST]
    assert bring["how"] == "bring"


def test_every_parameter_arrives(run: Run, bring: dict[str, Any]) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me"
    run(
        image=IMAGE,
        state="stopped",
        host=HOST,
        clone_mode="full",
        pool="fast",
        vcpus="2",
        memory=1024,
        disk_size="20GiB",
        interfaces=[
            {"network": "default", "mac": "52:54:00:AA:BB:CC"},
            {
                "bridge": "br0",
                "addresses": ["192.0.2.7/24"],
                "gateways": ["192.0.2.1"],
                "nameservers": ["192.0.2.2"],
                "search": ["example.jp"],
            },
        ],
        customize="cloud-init",
        user={"name": "admin", "groups": ["docker"], "ssh_authorized_keys": [key]},
        user_data="#cloud-config\npackages: [vim]\n",
        ssh_authorized_keys=[key],
        root_password="$6$salt$hashhash",
        tags=["web"],
        force=True,
        stop_timeout=7,
        wait=False,
        wait_for="address",
        wait_timeout=9,
        host_timeout=3,
        auth_file="/etc/libvirt/auth.conf",
    )
    assert bring["wanted"] == wanted.want(
        name=NAME,
        state=Presence.STOPPED,
        image=IMAGE,
        host=HOST,
        clone_mode=request.CloneMode.FULL,
        pool="fast",
        vcpus=2,
        memory_mib=1024,
        disk_size_mib=20480,
        interfaces=(
            request.Nic(network="default", mac="52:54:00:aa:bb:cc"),
            request.Nic(
                bridge="br0",
                addresses=("192.0.2.7/24",),
                gateways=("192.0.2.1",),
                nameservers=("192.0.2.2",),
                search=("example.jp",),
            ),
        ),
        customize=request.Customize.CLOUD_INIT,
        user=request.User("admin", groups=("docker",), ssh_authorized_keys=(key,)),
        user_data="#cloud-config\npackages: [vim]\n",
        ssh_authorized_keys=(key,),
        root_password="$6$salt$hashhash",
        tags=("web",),
        force=True,
        stop_timeout=7,
    )
    assert bring["waiting"] == target.Waiting(False, target.WaitFor.ADDRESS, 9)
    assert (bring["hosts"].timeout, bring["hosts"].auth_file) == (3, "/etc/libvirt/auth.conf")


@pytest.mark.parametrize(("value", "mib"), [(2048, 2048), ("2048", 2048), ("1.5GiB", 1536)])
def test_a_size_with_and_without_a_unit(
    run: Run, bring: dict[str, Any], value: object, mib: int
) -> None:
    run(image=IMAGE, disk_size=value, memory=value)
    clone = bring["wanted"].clone
    assert (clone.disk_size_mib, clone.memory_mib) == (mib, mib)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            "20GB",
            "20GB says GB, which is a power of 1000 to some and of 1024 to others: write 20GiB",
        ),
        ("20KiB", "'20KiB' is not a size: a number of MiB, or one with the unit MiB, GiB or TiB"),
        ("1.5", "1.5 is not a whole number of MiB"),
        (0, "not a whole number from "),
        ("65TiB", "not a whole number from "),
    ],
)
@pytest.mark.parametrize("option", ["disk_size", "memory"])
def test_what_is_no_size(
    run: Run, bring: dict[str, Any], option: str, value: object, text: str
) -> None:
    result = run(image=IMAGE, **{option: value})
    assert result["code"] == "name_invalid"
    assert result["msg"].startswith(f"{option}: {text}")
    assert "wanted" not in bring


def test_no_interfaces_are_not_the_image_s(run: Run, bring: dict[str, Any]) -> None:
    run(interfaces=[])
    assert bring["wanted"].clone.interfaces == ()
    run()
    assert bring["wanted"].clone.interfaces is None


def test_interfaces_by_their_alias(run: Run, bring: dict[str, Any]) -> None:
    run(networks=[{"network": "default"}])
    assert bring["wanted"].clone.interfaces == (request.Nic(network="default"),)


def test_the_result(run: Run, bring: dict[str, Any]) -> None:
    bring["member"] = {"changed": True, "vm": VM, "request": REQUEST}
    result = run(image=IMAGE)
    assert result["changed"] is True
    assert "diff" not in result
    assert result["vm"] == VM
    assert result["request"]["seconds"] == 1.5
    assert "hashhash" not in json.dumps({**result, "invocation": None})


def test_before_and_after_have_the_same_keys(run: Run, bring: dict[str, Any]) -> None:
    running, absent = {"state": "running", "host": HOST}, {"state": "absent"}
    for before, after in ((absent, running), (running, absent)):
        bring["member"] = {"changed": True, "before": before, "after": after}
        diff = run(_ansible_diff=True)["diff"]
        nothing = {"host": None}
        assert diff == {"before": {**nothing, **before}, "after": {**nothing, **after}}
    bring["member"] = {"changed": False, "before": running, "after": running}
    assert "diff" not in run(_ansible_diff=True)


def test_what_is_not_changed_is_said(
    run: Run, bring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr(maglica_vm.AnsibleModule, "warn", lambda _self, text: texts.append(text))
    bring["member"] = {"kept": ("clone_mode", "pool")}
    run(clone_mode="linked", pool="fast")
    assert texts == [f"{NAME}: not changed on a vm that is there: clone_mode, pool"]


def test_a_restart_that_is_needed_is_warned_of(
    run: Run, bring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(maglica_vm.AnsibleModule, "warn", lambda _self, text: warned.append(text))
    domain = Domain(NAME, "u", HOST, "running", True, vcpus=1, memory_mib=64)
    bring["member"] = {"vm": _ansible.shown.of_domain(domain)}
    run(image=IMAGE)
    assert warned == []
    bring["member"] = {"vm": _ansible.shown.of_domain(domain.sized(2, 64))}
    assert run(image=IMAGE)["vm"]["next_start"] == {"vcpus": 2, "memory_mib": 64}
    assert warned == [
        f"a restart is needed: vm {NAME} on host {HOST} (it runs with 1 vCPU and 64 MiB, and has"
        " 2 vCPUs and 64 MiB from its next start on); state=restarted or"
        " allow_restart=true does it"
    ]


def test_a_vm_that_is_gone_is_not_in_the_result(run: Run) -> None:
    assert {"vm", "request"} & run(state="absent").keys() == set()


def test_check_mode_only_foresees(run: Run, bring: dict[str, Any]) -> None:
    run(image=IMAGE, _ansible_check_mode=True)
    assert bring["how"] == "foresee"


@pytest.mark.parametrize("error", errors.CLASSES)
def test_every_error_fails_with_its_code(
    run: Run, bring: dict[str, Any], error: type[errors.MaglicaError]
) -> None:
    bring["error"] = error("cannot do X on host Y: no room")
    bring["told"] = REQUEST
    result = run(image=IMAGE)
    assert result["failed"]
    assert result["code"] == error.code
    assert result["msg"].startswith("cannot do X on host Y: no room")
    assert result["request"]["id"] == REQUEST.id


def test_an_error_of_the_vm_itself_fails_too(run: Run, bring: dict[str, Any]) -> None:
    bring["member"] = {"changed": True, "error": errors.NoRoom("cannot clone it: no room")}
    result = run(image=IMAGE)
    assert (result["failed"], result["code"]) == (True, "no_room")
    assert result["msg"] == "cannot clone it: no room"
    assert result["changed"] is False


def test_what_fails_after_the_vm_was_made_has_changed_it(run: Run, bring: dict[str, Any]) -> None:
    timeout = errors.RequestTimeout("vm0 has no address\nafter 1 s")
    fields = {"changed": True, "done": True, "after": {"state": "running"}, "request": REQUEST}
    bring["member"] = {**fields, "error": timeout}
    result = run(image=IMAGE, wait_for="address", _ansible_diff=True)
    assert (result["failed"], result["changed"], result["code"]) == (True, True, timeout.code)
    assert result["diff"]["after"] == {"state": "running"}
    assert result["request"]["id"] == REQUEST.id


def test_a_missing_package_says_which_python(run: Run, bring: dict[str, Any]) -> None:
    bring["error"] = errors.DependencyMissing("this Python lacks pyzmq")
    assert "ansible_python_interpreter" in run(image=IMAGE)["msg"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[client_worker]\naddress = 127.0.0.1\n", r"section \[library\] is missing"),
        ("[client_worker]\nadress = x\n", "maglica.conf:2"),
        ("nonsense", "maglica.conf"),
    ],
)
def test_a_bad_configuration(run: Run, config: Path, text: str, why: str) -> None:
    config.write_text(text)
    result = run(image=IMAGE)
    assert result["code"] == "config_invalid"
    assert re.search(why, result["msg"]), result["msg"]


def test_the_configuration_of_the_environment(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGLICA_CONFIG", str(config))
    assert "failed" not in run(config=None)
    monkeypatch.setenv("MAGLICA_CONFIG", "/nonexistent")
    assert "/nonexistent" in run(config=None)["msg"]


def test_a_name_that_is_null(run: Run) -> None:
    result = run(name=None)
    assert (result["failed"], result["code"]) == (True, "name_invalid")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"state": "hibernated"}, "state"),
        ({"wait_for": "boot"}, "wait_for"),
        ({"vcpus": "many"}, "vcpus"),
        ({"interfaces": [{"adress": "x"}]}, "adress"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_parameters(run: Run, arguments: dict[str, object], why: str) -> None:
    result = run(**arguments)
    assert result["failed"]
    assert why in result["msg"]


def test_what_is_returned_is_documented() -> None:
    documented = yaml.safe_load(maglica_vm.RETURN)
    shown = _ansible.shown.of_request(REQUEST)
    assert documented["request"]["contains"].keys() == shown.keys()
    assert documented["request"]["sample"].keys() == shown.keys()
    domain = Domain(NAME, "u", HOST, "running", True)
    vm = _ansible.shown.of_domain(domain)
    assert documented["vm"]["contains"].keys() == vm.keys()
    assert documented["vm"]["sample"].keys() == vm.keys()
