# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The info modules in plays, on libvirt's test driver: their options and their examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.model.vm import vm_uuid
from support import testdriver
from support.client_worker import Worker
from support.ports import free_port
from support.testdriver import Libvirtd

REQUEST = "2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e"
KEY = f"ssh-ed25519 {'A' * 68}"
MADE = (
    "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='debian12.original'"
    f" request='{REQUEST}' created='1795500000' who='alice' clone_mode='linked'>"
    f"<maglica:ssh_host_key>{KEY} root@vm0</maglica:ssh_host_key></maglica:vm>"
)
MODULES = ("maglica_vm_info", "maglica_image_info", "maglica_host_info")


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[Libvirtd]:
    with testdriver.running() as running:
        yield running


@pytest.fixture(scope="module")
def config(libvirtd: Libvirtd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with two hosts that live and one that does not."""
    kvm0 = [
        testdriver.domain("vm0.example.jp", 1, identity=vm_uuid(REQUEST), metadata=MADE),
        testdriver.domain("web0.example.jp", 2),
        testdriver.domain("debian12.original", 4, state=5),
    ]
    kvm1 = [testdriver.domain(name, 5, state=5) for name in ("debian12.original", "draft")]
    nodes = [
        testdriver.node(libvirtd.folder / f"{name}.xml", domains)
        for name, domains in (("kvm0", kvm0), ("kvm1", kvm1))
    ]
    path = tmp_path_factory.mktemp("info") / "maglica.conf"
    path.write_text(
        f"[host kvm0]\nuri = {libvirtd.uri(nodes[0])}\n"
        f"[host kvm1]\nuri = {libvirtd.uri(nodes[1])}\nweight = 2\n"
        f"[host kvm9]\nuri = test+tcp://127.0.0.1:{free_port()}/default\n"
    )
    return path


class Runner:
    """Runs tasks on localhost, with ``config`` as the default of all modules of the collection."""

    def __init__(self, folder: Path, checkout: Path, config: Path) -> None:
        self.folder = folder
        self.config = config
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ANSIBLE_COLLECTIONS_PATH": str(checkout / ".collections"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }

    def play(self, tasks: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        defaults = {"group/maglica.cloud.maglica": {"config": str(self.config)}}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": defaults,
            "tasks": tasks,
        }
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump([play]))
        return subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                *("--inventory", "localhost,", "--connection", "local"),
                *("--extra-vars", f"ansible_python_interpreter={sys.executable}"),
                str(path),
            ],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def modules(self, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the result of each call of a module, all in one play."""
        output = self.folder / "results.json"
        tasks = [
            {
                f"maglica.cloud.{module}": options,
                "register": f"result{number}",
                "ignore_errors": True,
            }
            for number, (module, options) in enumerate(calls)
        ]
        results = ", ".join(f"result{number}" for number in range(len(calls)))
        content = f"{{{{ [{results}] | to_json }}}}"
        tasks.append({"ansible.builtin.copy": {"content": content, "dest": str(output)}})
        done = self.play(tasks)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(output.read_text())


@pytest.fixture
def runner(tmp_path: Path, checkout: Path, config: Path) -> Runner:
    return Runner(tmp_path, checkout, config)


def test_answers(runner: Runner) -> None:
    original = {"image_pattern": r".*\.original"}
    vms, named, images, matching, hosts, others, matching_hosts = runner.modules(
        ("maglica_vm_info", {}),
        (
            "maglica_vm_info",
            {"name": ["web*"], "hosts": ["kvm0"], "xml": True, "address_sources": []},
        ),
        ("maglica_image_info", {}),
        ("maglica_image_info", {"name": ["d*"], **original}),
        ("maglica_host_info", {}),
        ("maglica_vm_info", {"host": ["kvm1"], **original}),
        ("maglica_host_info", {"hosts": ["kvm1"], **original}),
    )
    _check_vms(vms)
    _check_named(named)
    _check_images(images)
    assert [image["name"] for image in matching["images"]] == ["debian12.original"]
    _check_hosts(hosts)
    assert [vm["name"] for vm in others["vms"]] == ["draft"]
    (kvm1,) = matching_hosts["hosts"]
    assert (kvm1["vms"], kvm1["images"]) == (["draft"], ["debian12.original"])


def test_which_address(runner: Runner) -> None:
    asked = (
        ({}, True),
        ({"address_family": "ipv6"}, True),
        ({"address_family": "ipv6_only"}, False),
        # The test driver's leases are in 192.168.0.0/16.
        ({"address_family": "ipv4_only", "address_networks": ["192.168.0.0/16"]}, True),
    )
    calls = [("maglica_vm_info", {"name": ["vm0*"], **options}) for options, _found in asked]
    for result, (options, found) in zip(runner.modules(*calls), asked):
        (vm,) = result["vms"]
        assert (vm["address"] is not None) == found, options
        assert vm["interfaces"][0]["addresses"] != []
    (bad,) = runner.modules(("maglica_vm_info", {"address_networks": ["10.0.0.1/8"]}))
    assert bad["code"] == "config_invalid"
    assert "'10.0.0.1/8' is not a range" in bad["msg"]


def _undocumented(shown: Any, documented: dict[str, Any], path: str) -> list[str]:
    """Return what RETURN does not describe, down to each key of each entry of a list."""
    if isinstance(shown, list):
        return [key for entry in shown for key in _undocumented(entry, documented, path)]
    if not isinstance(shown, dict):
        return []
    known = documented.get("contains", {})
    return [
        key
        for name, value in shown.items()
        for key in (
            _undocumented(value, known[name], f"{path}.{name}")
            if name in known
            else [f"{path}.{name}"]
        )
    ]


def _documentation(checkout: Path, module: str, part: str) -> Any:
    source = (checkout / "plugins/modules" / f"{module}.py").read_text()
    return yaml.safe_load(source.partition(f'{part} = r"""')[2].partition('"""')[0])


def test_all_that_is_returned_is_documented(runner: Runner, checkout: Path) -> None:
    calls = [(module, {} if "host" in module else {"xml": True}) for module in MODULES]
    for (module, _options), result in zip(calls, runner.modules(*calls)):
        documented = _documentation(checkout, module, "RETURN")
        for name in (module.split("_")[1] + "s", "unreachable_hosts"):
            assert result[name]
            assert _undocumented(result[name], documented[name], name) == []


def _check_vms(result: dict[str, Any]) -> None:
    assert result["changed"] is False
    assert [vm["name"] for vm in result["vms"]] == ["vm0.example.jp", "web0.example.jp"]
    vm = result["vms"][0]
    assert (vm["host"], vm["state"], vm["image"]) == ("kvm0", "running", "debian12.original")
    assert vm["address"] in vm["interfaces"][0]["addresses"]
    assert [vm["ssh_host_keys"] for vm in result["vms"]] == [[KEY], []]
    (missing,) = result["unreachable_hosts"]
    assert missing["host"] == "kvm9"
    assert "Connection refused" in missing["text"]


def _check_named(result: dict[str, Any]) -> None:
    (vm,) = result["vms"]
    assert "<name>web0.example.jp</name>" in vm["xml"]
    assert (vm["address"], vm["image"]) == (None, None)
    assert result["unreachable_hosts"] == []


def _check_images(result: dict[str, Any]) -> None:
    assert [image["name"] for image in result["images"]] == ["debian12.original", "draft"]
    image = result["images"][0]
    assert image["hosts"] == [copy["host"] for copy in image["copies"]] == ["kvm0", "kvm1"]
    assert [(vm["name"], vm["host"]) for vm in image["dependents"]] == [("vm0.example.jp", "kvm0")]


def _check_hosts(result: dict[str, Any]) -> None:
    assert [host["reachable"] for host in result["hosts"]] == [True, True, False]
    kvm0, kvm1, kvm9 = result["hosts"]
    assert (kvm0["cpus"], kvm0["vms"]) == (16, ["vm0.example.jp", "web0.example.jp"])
    assert (kvm1["weight"], kvm1["images"]) == (2, ["debian12.original", "draft"])
    assert (kvm9["cpus"], kvm9["vms"], kvm9["pools"]) == (None, [], [])


def test_failures(runner: Runner) -> None:
    bad = (
        ({"on_host_error": "fail"}, "host_down", "host kvm9: "),
        (
            {"hosts": ["kvm5"]},
            "host_unknown",
            "host kvm5 is not in the configuration",
        ),
        ({"config": "/nothing.conf"}, "config_invalid", "cannot read /nothing.conf"),
        ({"auth_file": "/nothing"}, "config_invalid", "cannot read /nothing: No such"),
        ({"image_pattern": "("}, "config_invalid", "image_pattern '(' is not a regular expression"),
        ({"parallel": -1}, "config_invalid", "parallel"),
    )
    calls = [(module, options) for module in MODULES for options, _code, _text in bad]
    for result, (_options, code, text) in zip(runner.modules(*calls), bad * len(MODULES)):
        assert (result["failed"], result["code"]) == (True, code)
        assert result["msg"].startswith(text)


def test_examples(runner: Runner, checkout: Path, tmp_path: Path) -> None:
    tasks = []
    for module in MODULES:
        tasks += _documentation(checkout, module, "EXAMPLES")
    worker = Worker(tmp_path)
    try:
        worker.start()
        # Of bases and looks the client worker tells.
        config = worker.library("alice")
        config.write_text(f"{runner.config.read_text()}{config.read_text()}")
        done = Runner(tmp_path, checkout, config).play(tasks)
    finally:
        worker.close()
    assert done.returncode == 0, done.stdout + done.stderr
