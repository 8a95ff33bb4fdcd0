# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks, plays and commands of README and docs, as they are written, by a user with a key, a
configuration and an SSH key at the usual places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.cli import main
from support.ansible_runs import Ansible
from support.documents import Block, block, blocks
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS, IMAGE

README, COMING, IMAGES = "README.md", "docs/coming-from.md", "docs/images.md"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxyaNUB7fqBSWaTjaVYxtBUdQ5FPVhaRaIXoBAo0tbN admin"
DIGITS = f"sha256:{'0a' * 32}"


@pytest.fixture
def home(tmp_path: Path, cell: SimulatedCell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user, who is in it, and has the image debian-13 on all hosts."""
    folder = tmp_path / "home"
    for at in (".config/maglica/maglica.conf", "clouds/lab.conf"):
        (folder / at).parent.mkdir(parents=True, exist_ok=True)
        (folder / at).write_text(cell.config.path.read_text())
    for at in (".ssh/id_ed25519.pub", "id_ed25519.pub"):
        (folder / at).parent.mkdir(exist_ok=True)
        (folder / at).write_text(f"{KEY}\n")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    for name in ("MAGLICA_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert main.main(["image", "add", "debian-13"]) == 0
    return folder


def play(ansible: Ansible, *tasks: Block, **variables: object) -> list[dict[str, Any]]:
    """Run tasks of documents; return their results."""
    local = {"connection": "local", "gather_facts": False}
    every = [task for each in tasks for task in each.value]
    known = {**ansible.variables, **variables}
    run = ansible.play([{"hosts": "localhost", **local, "vars": known, "tasks": every}])
    assert run.code == 0, run.output + run.errors
    return [result for _host, result in run.results()]


@pytest.mark.usefixtures("home")
def test_tasks_with_images(ansible: Ansible, cell: SimulatedCell) -> None:
    found = play(
        ansible,
        block(README, "name: golden"),
        block(IMAGES, "name: debian-13"),
        block(IMAGES, "hosts: [kvm0"),
    )
    assert [each["changed"] for each in found] == [True, False, False]
    assert all("golden" in cell.defined(host) for host in HOSTS)


@pytest.mark.usefixtures("home")
def test_tasks_with_vms(ansible: Ansible, cell: SimulatedCell) -> None:
    for name in ("shop-1", "shop-2"):
        cell.add(HOSTS[0], name, active=False, image=IMAGE)
    found = play(
        ansible,
        block(README, "user_data: |"),
        block(COMING, "bridge: br0"),
        block(COMING, "exact_count: 3"),
        block(COMING, "shop-*"),
        shop_servers=["shop-1"],
    )
    assert not any(each.get("failed") for each in found)
    assert len(found[2]["vms"]) == 3
    spec = next(each.spec for each in cell.client.list() if each.name == "vm1.example.jp")
    assert spec.user.name == "admin"
    names = [name for host in HOSTS for name in cell.defined(host)]
    assert [name for name in names if name.startswith("shop-")] == ["shop-1"]


@pytest.mark.usefixtures("home")
def test_a_guest_is_taken_over_and_changed(ansible: Ansible, cell: SimulatedCell) -> None:
    cell.add(HOSTS[0], "old_db", active=True, image=None)
    found = play(ansible, block(README, "name: old_db"))
    assert [each["changed"] for each in found] == [True, True]
    assert found[-1]["vm"]["adopted"] and found[-1]["vm"]["protected"]
    asked = {each.kind for each in cell.client.list() if each.name == "old_db"}
    assert asked == {"adopt", "set", "resize", "add_disk", "add_interface"}


@pytest.mark.usefixtures("home")
def test_what_is_not_in_the_list_goes(ansible: Ansible, cell: SimulatedCell) -> None:
    assert main.main(["vm", "clone", "web3.example.jp", "--image=debian-13", "--tag=web"]) == 0
    tasks = block(README, "prune_tag: web")
    found = play(ansible, tasks)
    names = [name for host in HOSTS for name in cell.defined(host) if name.startswith("web")]
    assert sorted(names) == ["web1.example.jp", "web2.example.jp"]
    assert [each["name"] for each in found[0]["removed"]] == ["web3.example.jp"]
    assert not play(ansible, tasks)[0]["changed"]


@pytest.mark.usefixtures("home")
def test_plays(ansible: Ansible, cell: SimulatedCell, tmp_path: Path) -> None:
    """One for each host of a group, and one with another cloud's configuration."""
    local = {"ansible_connection": "local"}
    web = {"hosts": {"web0.example.jp": {}, "web1.example.jp": {}}}
    groups = {"vars": ansible.variables, "children": {"web": web}, "hosts": {"localhost": local}}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": groups}))
    plays = block(README, "{{ inventory_hostname }}"), block(README, "clouds/lab.conf")
    for each in plays:
        file = tmp_path / "play.yml"
        file.write_text(each.text)
        run = ansible.run("ansible-playbook", "-i", str(inventory), str(file))
        assert run.code == 0, run.output + run.errors
    names = {name for host in HOSTS for name in cell.defined(host)}
    assert {"web0.example.jp", "web1.example.jp", "vm1.example.jp"} <= names


@pytest.mark.usefixtures("home")
def test_ad_hoc_commands(ansible: Ansible) -> None:
    """In the order of README: the second changes the vm that the first has made."""
    commands = [
        words
        for each in blocks(README, "console")
        for words in each.commands
        if words[0] == "ansible"
    ]
    assert len(commands) == 3
    for words in commands:
        run = ansible.run(*words)
        assert run.code == 0, run.output + run.errors


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("document", "mark"),
    [
        (README, "$ maglica vm clone"),
        (COMING, "$ maglica vm clone"),
        (IMAGES, "$ maglica image remove"),
        (IMAGES, "$ maglica image list"),
        (IMAGES, "$ maglica image inspect"),
    ],
)
def test_commands(document: str, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    golden = ["image", "add", "golden", "--url", "https://images.example.jp/golden.qcow2"]
    if "golden" in block(document, mark).text:
        assert main.main([*golden, "--checksum", DIGITS]) == 0
    for _maglica, *words in block(document, mark).commands:
        status = main.main([DIGITS if word == "sha256:…" else word for word in words])
        assert status == 0, (words, capsys.readouterr().err)
