# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it: ad hoc and in plays, with its action plugin."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from support.ansible_runs import Ansible, examples
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS, IMAGE, NAME

MODULE = "maglica_vm"


def test_ad_hoc_with_its_progress_as_it_goes(ansible: Ansible, cell: SimulatedCell) -> None:
    """By the module's full name; the other tests have the short one."""
    run = ansible.ad_hoc(f"maglica.cloud.{MODULE}", "--diff", name=NAME, image=IMAGE)
    result = run.result()
    assert run.code == 0, run.output
    assert result["changed"]
    assert result["vm"]["state"] == "running"
    assert result["request"]["state"] == "done"
    diff = result["diff"]
    assert (diff["before"]["state"], diff["before"].keys()) == ("absent", diff["after"].keys())
    host = result["vm"]["host"]
    assert NAME in cell.defined(host)
    lines = [line for line in run.errors.splitlines() if line.startswith(NAME)]
    assert lines[0].startswith(f"{NAME}: clone on {host}: ")
    assert lines[-1] == f"{NAME}: clone on {host}: done (copy 0.0 s)"
    assert len(lines) == len(set(lines))
    assert not ansible.ad_hoc(MODULE, name=NAME, image=IMAGE).result()["changed"]


def test_check_mode(ansible: Ansible, cell: SimulatedCell) -> None:
    wanted = {"name": NAME, "image": IMAGE, "disk_size": "20GiB"}
    result = ansible.ad_hoc("maglica_vm", "--check", "--diff", **wanted).result()
    assert result["changed"]
    assert result["vm"]["host"] in HOSTS
    assert result["diff"]["after"]["host"] == result["vm"]["host"]
    assert result["diff"]["after"]["disk_size_mib"] == 20480
    assert "request" not in result
    assert cell.client.list() == ()


def test_an_error_has_a_code_and_the_request(ansible: Ansible, cell: SimulatedCell) -> None:
    cell.fail_next("no_room", "pool default has 1.0 GiB free, 2.0 GiB needed")
    run = ansible.ad_hoc("maglica_vm", name=NAME, image=IMAGE)
    result = run.result()
    assert run.code != 0
    assert result["code"] == "no_room"
    assert result["msg"] == "pool default has 1.0 GiB free, 2.0 GiB needed"
    assert result["request"]["state"] == "failed"
    assert result["request"]["failure"]["code"] == "no_room"


def test_a_timeout_names_the_request(ansible: Ansible, cell: SimulatedCell) -> None:
    cell.hold()
    result = ansible.ad_hoc("maglica_vm", name=NAME, image=IMAGE, wait_timeout=1).result()
    assert result["code"] == "request_timeout"
    assert result["request"]["id"] in result["msg"]
    cell.release()
    joined = ansible.ad_hoc("maglica_vm", name=NAME, image=IMAGE).result()
    assert joined["vm"]["request"] == result["request"]["id"]


def test_without_waiting(ansible: Ansible, cell: SimulatedCell) -> None:
    cell.hold()
    result = ansible.ad_hoc("maglica_vm", name=NAME, image=IMAGE, wait=False).result()
    assert result["changed"]
    assert result["request"]["state"] in ("queued", "sent")
    assert result["vm"]["name"] == NAME


def test_asynchronous(ansible: Ansible) -> None:
    task = {
        "maglica_vm": {"name": NAME, "image": IMAGE, "config": ansible.config},
        "async": 60,
        "poll": 1,
    }
    play = {"hosts": "localhost", "gather_facts": False, "vars": ansible.variables}
    run = ansible.play([{**play, "connection": "local", "tasks": [task]}])
    assert run.code == 0, run.output
    assert run.result()["vm"]["state"] == "running"


def test_the_configuration_of_module_defaults(ansible: Ansible, cell: SimulatedCell) -> None:
    """They count for every module of the collection, also where the task is delegated."""
    options = {"name": "{{ inventory_hostname }}"}
    make = {"maglica.cloud.maglica_vm": {**options, "image": IMAGE}, "delegate_to": "localhost"}
    look = {"maglica.cloud.maglica_vm_info": options, "delegate_to": "localhost"}
    play = {
        "hosts": NAME,
        "gather_facts": False,
        "vars": {**ansible.variables, "maglica_config": "/nonexistent"},
        "module_defaults": {"group/maglica.cloud.maglica": {"config": ansible.config}},
        "tasks": [make, look],
    }
    run = ansible.play([play], "-i", f"{NAME},")
    assert run.code == 0, run.output
    (_host, made), (_host, seen) = run.results()
    assert (made["vm"]["name"], seen["vms"][0]["name"]) == (NAME, NAME)
    assert any(NAME in cell.defined(host) for host in HOSTS)


def test_the_configuration_of_the_environment(ansible: Ansible) -> None:
    run = ansible.run(
        "ansible", "localhost", "-m", "maglica_vm", "-a", f"name={NAME} state=absent",
        MAGLICA_CONFIG=ansible.config,
    )  # fmt: skip
    assert run.code == 0, run.output
    assert not run.result()["changed"]


def test_twenty_at_once_collide_nowhere(ansible: Ansible, cell: SimulatedCell) -> None:
    names = [f"vm{number}.example.jp" for number in range(20)]
    task = {
        "maglica_vm": {
            "name": "{{ inventory_hostname }}",
            "image": IMAGE,
            "config": ansible.config,
        },
        "delegate_to": "localhost",
        "vars": ansible.variables,
    }
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    run = ansible.play(play, "-i", ",".join(names), "--forks", "20")
    assert run.code == 0, run.output
    assert {host: result["vm"]["name"] for host, result in run.results()} == dict(zip(names, names))
    made = [[name for name in cell.defined(host) if name != IMAGE] for host in HOSTS]
    assert sorted(made[0] + made[1]) == sorted(names)
    assert min(len(made[0]), len(made[1])) >= 8


def test_a_secret_is_shown_nowhere(ansible: Ansible, cell: SimulatedCell) -> None:
    secret = "$6$rounds=5000$saltsalt$abcdefghijklmnopqrstuvwxyz"
    cell.fail_next("no_room", "no room")
    for options in ((), ("--check",)):
        run = ansible.ad_hoc(
            "maglica_vm", "-vvv", *options, name=NAME, image=IMAGE, root_password=secret
        )
        shown = (run.output + run.errors).replace(json.dumps(secret), "")
        assert "abcdefghijklmnop" not in shown


def test_the_examples_of_the_documentation(
    ansible: Ansible, checkout: Path, cell: SimulatedCell
) -> None:
    cell.add(HOSTS[0], "old_db", active=True, image=None)
    entries = examples(checkout, MODULE)
    image, *tasks = [entry for entry in entries if "hosts" not in entry]
    plays = [entry for entry in entries if "hosts" in entry]
    assert len(tasks) >= 5
    inventory = ansible.folder / "hosts.yml"
    local = {"ansible_connection": "local"}
    web = {"hosts": {"web0.example.jp": {}, "web1.example.jp": {}}}
    groups = {"vars": ansible.variables, "children": {"web": web}, "hosts": {"localhost": local}}
    inventory.write_text(yaml.safe_dump({"all": groups}))
    first = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    content = [first, *plays]
    # What check mode only foresees is there for no later task.
    where = {"MAGLICA_CONFIG": ansible.config}
    added = ansible.play([{**first, "tasks": [image]}], "-i", str(inventory), **where)
    assert added.code == 0, added.output
    known = [task for task in tasks if "ansible.builtin.debug" not in task][:3]
    checked = ansible.play(
        [{**first, "tasks": known}, *plays], "-i", str(inventory), "--check", **where
    )
    assert checked.code == 0, checked.output
    run = ansible.play(content, "-i", str(inventory), **where)
    assert run.code == 0, run.output
    # A simulated host plugs in no disk, so that there is none to take away again.
    unchanged = ("Say how to log in", "Take that away again, and keep what is on it")
    changed = [task["name"] not in unchanged for task in tasks]
    assert [result["changed"] for _host, result in run.results()] == [*changed, True, True]
