# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it: ad hoc and in plays, with its action plugin."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from support.ansible_runs import Ansible, examples
from support.documents import block
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS, IMAGE

WEB = "web%02d.example.jp"


def test_ad_hoc(ansible: Ansible, cell: SimulatedCell) -> None:
    """By the module's full name; the other tests have the short one."""
    module = "maglica.cloud.maglica_vms"
    wanted = {"name": WEB, "count": 3, "image": IMAGE}
    foreseen = ansible.ad_hoc(module, "--check", **wanted).result()
    assert foreseen["changed"]
    assert cell.client.list() == ()
    run = ansible.ad_hoc(module, "--diff", **wanted)
    result = run.result()
    assert run.code == 0, run.output
    assert [vm["name"] for vm in result["vms"]] == [WEB % number for number in (1, 2, 3)]
    assert [vm["host"] for vm in result["vms"]] == [vm["host"] for vm in foreseen["vms"]]
    assert {(vm["state"], vm["changed"]) for vm in result["vms"]} == {("running", True)}
    assert [each["state"] for each in result["requests"]] == ["done"] * 3
    before = result["diff"]["before"]
    states = {name: vm["state"] for name, vm in before.items()}
    assert states == {WEB % number: "absent" for number in (1, 2, 3)}
    lines = [line for line in run.errors.splitlines() if line.startswith("web0")]
    assert sum(": clone on " in line and ": done (copy" in line for line in lines) == 3
    assert not ansible.ad_hoc(module, **wanted).result()["changed"]


def test_a_hundred_in_few_lines(ansible: Ansible, cell: SimulatedCell) -> None:
    wanted = {"name": WEB, "count": 100, "image": IMAGE, "memory": 64}
    run = ansible.ad_hoc("maglica_vms", **wanted)
    result = run.result()
    assert run.code == 0, run.output
    assert result["changed"]
    assert Counter(vm["host"] for vm in result["vms"]) == dict.fromkeys(HOSTS, 50)
    lines = [line for line in run.errors.splitlines() if " of 100 done" in line]
    assert re.fullmatch(r"\d+ of 100 done, \d+ (waiting|copy).*", lines[0])
    assert lines[-1] == "100 of 100 done"
    assert len(lines) < 30
    assert "web50.example.jp" not in run.errors
    gone = ansible.ad_hoc("maglica_vms", "-v", name=WEB, state="absent")
    assert gone.result()["vms"] == []
    assert [vm["changed"] for vm in gone.result()["removed"]] == [True] * 100
    assert f"{WEB % 50}: remove on " in gone.errors
    assert [cell.defined(host) for host in HOSTS] == [[IMAGE], [IMAGE]]


def test_those_that_fail_are_named(ansible: Ansible, cell: SimulatedCell) -> None:
    cell.fail_next("guest_unreadable", "no operating system was found")
    run = ansible.ad_hoc("maglica_vms", name=WEB, count=6, image=IMAGE)
    result = run.result()
    assert run.code != 0
    assert result["code"] == "guest_unreadable"
    failed = [vm for vm in result["vms"] if vm.get("failed")]
    # Each host has failed once, for the same cause.
    first, second = (vm["name"] for vm in failed)
    names = f"{first}, {second}"
    assert result["msg"] == f"2 of 6 vms failed: {names}: no operating system was found"
    for vm in failed:
        assert f"{vm['name']}: clone: no operating system was found" in run.errors
    again = ansible.ad_hoc("maglica_vms", name=WEB, count=6, image=IMAGE).result()
    assert [vm["name"] for vm in again["vms"] if vm["changed"]] == [vm["name"] for vm in failed]


def test_of_all_or_none_none(ansible: Ansible, cell: SimulatedCell) -> None:
    vms = [{"name": "a.example.jp"}, {"name": "b.example.jp", "memory": 1 << 22}]
    for options in ((), ("--check",)):
        run = ansible.ad_hoc("maglica_vms", *options, vms=vms, image=IMAGE)
        assert run.result()["code"] == "no_room"
        assert "cannot clone b.example.jp from" in run.result()["msg"]
    assert cell.client.list() == ()


def test_a_secret_is_shown_nowhere(ansible: Ansible, cell: SimulatedCell) -> None:
    secret = "$6$rounds=5000$saltsalt$abcdefghijklmnopqrstuvwxyz"
    vms = [{"name": "a.example.jp", "root_password": secret}, {"name": "b.example.jp"}]
    for options in (("--check",), ()):
        given = {"vms": vms, "image": IMAGE, "root_password": secret}
        run = ansible.ad_hoc("maglica_vms", "-vvv", *options, **given)
        assert run.code == 0, run.output
        shown = (run.output + run.errors).replace(secret, "", 2 * run.errors.count("-a {"))
        assert "abcdefghijklmnop" not in shown


def test_asynchronous(ansible: Ansible) -> None:
    task = {
        "maglica_vms": {"name": WEB, "count": 5, "image": IMAGE, "config": ansible.config},
        "async": 60,
        "poll": 1,
    }
    play = {"hosts": "localhost", "gather_facts": False, "vars": ansible.variables}
    run = ansible.play([{**play, "connection": "local", "tasks": [task]}])
    assert run.code == 0, run.output
    assert len(run.result()["vms"]) == 5


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_the_playbook_of_the_readme(
    ansible: Ansible, cell: SimulatedCell, options: tuple[str, ...]
) -> None:
    (play,) = block("README.md", "# web.yml").value
    make, use = play["tasks"]
    parameters = make["maglica.cloud.maglica_vms"]
    del parameters["count"]
    parameters.update(exact_count=2, image=IMAGE, config=ansible.config)
    # Those that are too many are no hosts of the play, and those that are off are started.
    for number in (1, 3, 4):
        cell.add(HOSTS[0], WEB % number, active=False, image=IMAGE)
    hosts = "{{ groups['web'] | map('extract', hostvars) | list }}"
    tell = {"ansible.builtin.debug": {"msg": hosts}}
    local = {"vars": ansible.variables, "connection": "local"}
    play = {**play, **local, "tasks": [make, use, tell]}
    run = ansible.play([play], *options)
    assert run.code == 0, run.output
    (told,) = [found["msg"] for _host, found in run.results() if isinstance(found.get("msg"), list)]
    assert [vm["inventory_hostname"] for vm in told] == [WEB % 1, WEB % 3]
    if not options:
        assert all(vm["ansible_host"] for vm in told)


def test_the_examples_of_the_documentation(
    ansible: Ansible, checkout: Path, cell: SimulatedCell
) -> None:
    tasks = examples(checkout, "maglica_vms")
    assert len(tasks) >= 5
    cell.add(HOSTS[0], "old.example.jp", active=False, image=IMAGE)
    cell.add(HOSTS[0], "old_wiki", active=True, image=None)
    inventory = ansible.folder / "hosts.yml"
    local = {"localhost": {"ansible_connection": "local"}}
    inventory.write_text(yaml.safe_dump({"all": {"vars": ansible.variables, "hosts": local}}))
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    run = ansible.play(play, "-i", str(inventory), MAGLICA_CONFIG=ansible.config)
    assert run.code == 0, run.output
    results = [result for _host, result in run.results() if "vms" in result]
    counts = [(len(result["vms"]), len(result["removed"])) for result in results]
    assert counts == [(10, 0), (4, 6), (2, 1), (2, 0), (1, 0), (2, 0), (0, 4)]
    assert {result["changed"] for result in results} == {True}
    names = [cell.defined(host) for host in HOSTS]
    own = ["cache.example.jp", "db.example.jp", "shop-db.example.jp", "shop-web.example.jp"]
    assert sorted(names[0] + names[1]) == sorted([*own, IMAGE, IMAGE, "old_wiki"])
