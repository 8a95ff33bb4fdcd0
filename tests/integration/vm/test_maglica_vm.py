# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it: ad hoc and in plays, with its action plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS, IMAGE, NAME

BIN = Path(sys.executable).parent
MODULE = "plugins/modules/maglica_vm.py"


class Run:
    """A finished Ansible command; ``results`` are those of its tasks, by host."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.errors = done.stderr
        self.output = done.stdout

    def results(self) -> list[tuple[str, dict[str, Any]]]:
        lines = self.output.splitlines()
        return [json.loads(line[7:]) for line in lines if line.startswith("RESULT ")]

    def result(self) -> dict[str, Any]:
        ((_host, result),) = self.results()
        return result


class Ansible:
    """Runs commands in the checkout, for a cell."""

    def __init__(self, checkout: Path, folder: Path, cell: SimulatedCell) -> None:
        self.checkout = checkout
        self.folder = folder
        self.config = str(cell.config.path)
        # Not the checkout's own cloud; and "localhost" is then the implicit one.
        self.inventory = folder / "nobody.ini"
        self.inventory.write_text("[nobody]\n")
        self.variables = {"ansible_python_interpreter": sys.executable}

    def run(self, *command: str, **environment: str) -> Run:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MAGLI"))}
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.checkout,
            env={
                **inherited,
                "ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg"),
                "ANSIBLE_STDOUT_CALLBACK": "results",
                "ANSIBLE_CALLBACK_PLUGINS": str(self.checkout / "tests" / "support" / "callbacks"),
                "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
                "ANSIBLE_INVENTORY": str(self.inventory),
                "ANSIBLE_LOCALHOST_WARNING": "0",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Run(done)

    def ad_hoc(self, module: str, *options: str, **arguments: object) -> Run:
        given = json.dumps({"config": self.config, **arguments})
        local = ["-c", "local", "-e", json.dumps(self.variables)]
        return self.run("ansible", "localhost", "-m", module, *local, *options, "-a", given)

    def play(self, content: list[dict[str, Any]], *options: str, **environment: str) -> Run:
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return self.run("ansible-playbook", str(path), *options, **environment)


@pytest.fixture
def ansible(checkout: Path, tmp_path: Path, cell: SimulatedCell) -> Ansible:
    return Ansible(checkout, tmp_path, cell)


@pytest.mark.parametrize("module", ["maglica_vm", "maglica.cloud.maglica_vm"])
def test_ad_hoc(ansible: Ansible, module: str, cell: SimulatedCell) -> None:
    run = ansible.ad_hoc(module, name=NAME, image=IMAGE)
    result = run.result()
    assert run.code == 0, run.output
    assert result["changed"]
    assert result["vm"]["state"] == "running"
    assert result["request"]["state"] == "done"
    assert result["diff"]["before"] == {"state": "absent"}
    assert NAME in cell.defined(result["vm"]["host"])
    assert not ansible.ad_hoc(module, name=NAME, image=IMAGE).result()["changed"]


def test_progress_is_printed_as_it_goes(ansible: Ansible) -> None:
    run = ansible.ad_hoc("maglica_vm", name=NAME, image=IMAGE)
    host = run.result()["vm"]["host"]
    lines = [line for line in run.errors.splitlines() if line.startswith(NAME)]
    assert lines[0].startswith(f"{NAME}: clone on {host}: ")
    assert lines[-1] == f"{NAME}: clone on {host}: done (copy 0.0 s)"
    assert len(lines) == len(set(lines))


def test_check_mode(ansible: Ansible, cell: SimulatedCell) -> None:
    result = ansible.ad_hoc("maglica_vm", "--check", name=NAME, image=IMAGE).result()
    assert result["changed"]
    assert result["vm"]["host"] in HOSTS
    assert result["diff"]["after"]["host"] == result["vm"]["host"]
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


def test_the_configuration_of_the_inventory(ansible: Ansible, cell: SimulatedCell) -> None:
    """The variable is that of the host which the vm will be, also when the task is delegated."""
    inventory = ansible.folder / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump({"all": {"hosts": {NAME: {}}, "vars": {"maglica_config": ansible.config}}})
    )
    task = {
        "maglica_vm": {"name": "{{ inventory_hostname }}", "image": IMAGE},
        "delegate_to": "localhost",
        "vars": ansible.variables,
    }
    run = ansible.play(
        [{"hosts": NAME, "gather_facts": False, "tasks": [task]}], "-i", str(inventory)
    )
    assert run.code == 0, run.output
    assert run.result()["vm"]["name"] == NAME
    assert any(NAME in cell.defined(host) for host in HOSTS)


def test_the_configuration_of_the_inventory_for_the_implicit_localhost(ansible: Ansible) -> None:
    inventory = ansible.folder / "hosts.yml"
    inventory.write_text(
        yaml.safe_dump({"all": {"hosts": {NAME: {}}, "vars": {"maglica_config": ansible.config}}})
    )
    arguments = f"name={NAME} state=absent"
    run = ansible.run(
        "ansible", "-i", str(inventory), "localhost", "-m", "maglica_vm", "-a", arguments
    )
    assert run.code == 0, run.output
    assert not run.result()["changed"]


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


def _examples(checkout: Path) -> list[dict[str, Any]]:
    source = (checkout / MODULE).read_text(encoding="utf-8")
    examples: list[dict[str, Any]] = yaml.safe_load(
        source.split('EXAMPLES = r"""')[1].split('"""')[0]
    )
    return examples


def test_the_examples_of_the_documentation(ansible: Ansible, checkout: Path) -> None:
    examples = _examples(checkout)
    tasks = [entry for entry in examples if "hosts" not in entry]
    plays = [entry for entry in examples if "hosts" in entry]
    assert len(tasks) >= 5
    inventory = ansible.folder / "hosts.yml"
    variables = {**ansible.variables, "maglica_config": ansible.config}
    local = {"ansible_connection": "local"}
    web = {"hosts": {"web0.example.jp": {}, "web1.example.jp": {}}}
    groups = {"vars": variables, "children": {"web": web}, "hosts": {"localhost": local}}
    inventory.write_text(yaml.safe_dump({"all": groups}))
    first = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    content = [first, *plays]
    checked = ansible.play([{**first, "tasks": tasks[:3]}, *plays], "-i", str(inventory), "--check")
    assert checked.code == 0, checked.output
    run = ansible.play(content, "-i", str(inventory))
    assert run.code == 0, run.output
    assert [result["changed"] for _host, result in run.results()] == [True] * (len(tasks) + 2)
