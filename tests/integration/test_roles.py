# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' own tasks, run on this machine in a folder of the test."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.role_runs import CHECKOUT, LIBRARY, OTHER_KEY, Deployment, include

SOMEBODY_ELSE = {
    "ansible_become": True,
    "ansible_become_method": "su",
    "ansible_become_user": "nobody",
    "ansible_become_flags": "-s /bin/sh",
}


@pytest.fixture
def machine(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_the_key_of_a_host_that_was_installed_anew_takes_the_old_ones_place(
    machine: Deployment,
) -> None:
    machine.know(f"host kvm0.example.jp {OTHER_KEY}")
    machine.deploy([machine.making, machine.registering("host", "kvm0.example.jp", True)])
    assert machine.registered == [f"host kvm0.example.jp {machine.key}"]


def test_the_key_of_a_user_is_added_and_replaces_none_unasked(machine: Deployment) -> None:
    machine.know(f"client root@one {OTHER_KEY}")
    refused = {
        "block": [machine.registering("client", "root@one", False)],
        "rescue": [machine.noting("refused")],
    }
    tasks = [machine.making, refused, machine.registering("client", "root@two", False)]
    # The same key under another name: it may be in the access file once only.
    tasks += [machine.noting("added"), machine.registering("client", "root@one", True)]
    _went_well, output = machine.run(tasks)
    assert "localhost knows another key under the name root@one" in " ".join(output.split())
    assert machine.noted("refused") == [f"client root@one {OTHER_KEY}"]
    assert machine.noted("added") == [
        f"client root@one {OTHER_KEY}",
        f"client root@two {machine.key}",
    ]
    assert machine.registered == [f"client root@one {machine.key}"]


def test_what_a_machine_says_of_its_key_gives_it_no_other_role_and_takes_nobodys_key(
    machine: Deployment,
) -> None:
    own, users = "h" * 40, f"client root@one {OTHER_KEY}"
    machine.know(users)
    refused = []
    for said in (f"{own}\nclient kvm0 {'c' * 40}", "", "x", "#" * 40, OTHER_KEY):
        task = machine.registering("host", "kvm0", True)
        task["vars"]["library_public_key"] = said
        refused.append(
            {"block": [task], "rescue": [{"ansible.builtin.debug": {"msg": "was refused"}}]}
        )
    _went_well, output = machine.run([*refused, machine.noting("known")])
    assert machine.noted("known") == [users]
    assert output.count("was refused") == len(refused)


def test_what_a_user_needs_is_the_users_whoever_the_inventory_would_become(
    machine: Deployment,
) -> None:
    machine.variables |= SOMEBODY_ELSE
    machine.deploy([include("client")], "-b")
    user = f"root@{platform.node()}"
    assert machine.registered == [
        f"client {user} {(machine.folder / 'library.pub').read_text().strip()}"
    ]
    made = [*machine.folder.glob("library.*"), machine.folder / "maglica.conf"]
    assert [path.owner() for path in made] == ["root"] * 3

    # The command is what it is, whatever lies in the folder where it is run.
    there = machine.folder / "there"
    there.mkdir()
    for name in ("zmq.py", "argparse.py"):
        (there / name).write_text("raise SystemExit('taken from the current folder')\n")
    command = [machine.folder / "maglica", "host", "list", "--help"]
    shown = subprocess.run(command, cwd=there, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")

    went_well, output = machine.run([include("client")], "-e", "ansible_become=true")
    assert not went_well
    assert "ansible_become is given as an extra variable" in " ".join(output.split())


def test_what_runs_here_runs_with_ansibles_python_whatever_is_said_of_the_workers(
    machine: Deployment,
) -> None:
    theirs = machine.folder / "python"
    theirs.write_text(f'#!/bin/sh\necho $* >> {machine.folder}/told\nexec {sys.executable} "$@"\n')
    theirs.chmod(0o755)
    machine.deploy([include("client")], "-e", f"maglica_python={theirs}")
    assert "maglica.wire.keys" not in (machine.folder / "told").read_text()
    command = (machine.folder / "maglica").read_text()
    program = Path(command.split("exec ")[1].split()[0])
    assert program.parent.samefile(Path(sys.executable).parent)


def test_what_an_earlier_run_left_half_made_is_mended(machine: Deployment) -> None:
    machine.know(f"host kvm0.example.jp {OTHER_KEY}")
    # As Ansible has it while it writes a file.
    (machine.folder / "access.d" / ".ansible_tmp1host").write_text(f"host kvm0 {OTHER_KEY}\n")
    no_name = {
        "block": [machine.registering("client", "John Doe", False)],
        # Only half of the key is there.
        "rescue": [{"ansible.builtin.command": f"rm {machine.folder}/my.pub"}],
    }
    tasks = [machine.making, no_name, machine.making]
    tasks.append(machine.registering("client", "root@one", False))
    _went_well, output = machine.run(tasks)
    assert "John Doe can't be the name of a client" in " ".join(output.split())
    assert machine.registered == [
        f"client root@one {machine.key}",
        f"host kvm0.example.jp {OTHER_KEY}",
    ]


def test_the_command_finds_its_configuration_in_any_folder(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    machine.variables["library_user_dir"] = f"{tmp_path}/it's $HOME"
    role = CHECKOUT / "roles" / "library" / "templates"
    to = {"dest": machine.variables["library_command"], "mode": "0755"}
    variables = {"library_source": str(LIBRARY), "ansible_managed": "Made by Ansible;\nleave it"}
    tasks = [
        {"ansible.builtin.template": {"src": str(role / "maglica.sh.j2"), **to}, "vars": variables}
    ]
    machine.deploy(tasks)
    command = [machine.folder / "maglica", "host", "list"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    wanted = f"maglica: cannot read {tmp_path}/it's $HOME/maglica.conf: No such file or directory"
    assert shown.stderr.strip() == wanted


def test_the_library_can_be_entered_by_all_whatever_the_umask(machine: Deployment) -> None:
    machine.variables |= SOMEBODY_ELSE
    machine.of_play = {"ansible_become": True, "ansible_become_user": "root"}
    install = [include("main")]

    def unlike() -> list[str]:
        maglica = (machine.folder / "library" / "current").resolve() / "maglica"
        return [
            str(path)
            for path in [*maglica.parent.rglob("*"), maglica.parent]
            if path.owner() != "root"
            or path.stat().st_mode & 0o777 != (0o755, 0o644)[path.is_file()]
        ]

    assert machine.deploy(install, umask=0o027)
    assert not unlike()
    library = (machine.folder / "library" / "current").resolve() / "maglica"
    assert {path.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py")} == {
        path.relative_to(library) for path in library.rglob("*.py")
    }

    # One that was broken, or cut off, is mended.
    (library / "wire").chmod(0o750)
    (library / "cli" / "main.py").unlink()
    assert machine.deploy(install, umask=0o027)
    assert not unlike()
    assert (library / "cli" / "main.py").exists()


def test_the_version_before_is_kept_with_what_it_ran_with(machine: Deployment) -> None:
    etc = machine.folder / "etc"
    etc.mkdir()
    (etc / "host_worker.conf").write_text("[host_worker]\nname = of old\n")
    machine.variables["maglica_config_dir"] = str(etc)
    assert machine.deploy([include("main")])
    before = (machine.folder / "library" / "current").resolve()
    other = machine.folder / "source" / "maglica"
    shutil.copytree(LIBRARY, other)
    (other / "run.py").write_text((other / "run.py").read_text() + "# newer\n")
    machine.variables["library_source"] = str(other)
    assert machine.deploy([include("main")])
    now = (machine.folder / "library" / "current").resolve()
    assert now != before
    kept = before / "ran-with" / "host_worker.conf"
    assert kept.read_text() == "[host_worker]\nname = of old\n"
    assert not machine.deploy([include("main")])


def test_old_versions_that_can_t_be_removed_stop_no_upgrade(machine: Deployment) -> None:
    """It is said, and not that the machine is not heard."""
    # As one where a file can't be deleted.
    script = "import sys; sys.exit('rmtree: Operation not permitted')"
    machine.variables["maglica_python"] = str(machine.folder / "python")
    (machine.folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{script}"\n')
    (machine.folder / "python").chmod(0o755)
    went_well, output = machine.run([include("prune")])
    assert went_well, output
    text = " ".join(output.split())
    assert "localhost is upgraded and goes on." in text
    assert "could not all be removed: rmtree: Operation not permitted. They do no harm" in text


def test_an_account_of_somebody_is_not_made_the_client_workers(machine: Deployment) -> None:
    tasks = CHECKOUT / "roles" / "client_worker" / "tasks" / "user.yml"
    user = {"ansible.builtin.include_tasks": str(tasks)}
    machine.variables["client_worker_user"] = "sync"
    went_well, output = machine.run([user], "--check")
    told = "an account sync that was not made for the client worker: its home is /bin"
    assert told in " ".join(output.split())
    assert not went_well
    machine.variables["client_worker_user"] = "nobody-has-this"
    assert machine.deploy([user], "--check")


def test_a_host_that_is_at_work_keeps_its_key(machine: Deployment) -> None:
    """Also where the client worker knows nothing of it, as with a journal that was lost."""
    run = machine.folder / "library" / "current" / "maglica" / "run.py"
    run.parent.mkdir(parents=True)
    run.write_text('print(\'{"requests": ["5e7ff7a6"], "bases": []}\')\n')
    for name in ("host_worker.sqlite", "host_worker.key"):
        (machine.folder / name).touch()
    # With the line by which the role knows it as its own.
    (machine.folder / "host_worker.conf").write_text("# By the role maglica.cloud.host_worker\n")
    folder = str(machine.folder)
    machine.variables.update(maglica_config_dir=folder, host_worker_state_dir=folder)
    role = {"name": "maglica.cloud.host_worker", "tasks_from": "remove.yml"}
    went_well, output = machine.run([{"ansible.builtin.include_role": role}], "--check")
    assert not went_well
    assert "has requests that have not ended: 5e7ff7a6." in " ".join(output.split())
    assert "Look for the client worker" not in output


def test_who_has_restored_is_told_what_is_to_be_deployed(machine: Deployment) -> None:
    done = {"made": "2026-11-30T12:00:00Z", "address": "192.0.2.7", "public_key": OTHER_KEY}
    done.update(key_changed=False, keys_left=[], ca_left=False, kept=None)
    machine.variables["maglica_client_worker_address"] = "192.0.2.7"

    def told(**more: Any) -> str:
        put: dict[str, Any] = {"restore_put": {"stdout": json.dumps({**done, **more})}}
        put["certificates_authority"] = f"{machine.folder}/ca"
        role = {"name": "maglica.cloud.restore", "tasks_from": "told.yml"}
        went_well, output = machine.run([{"ansible.builtin.include_role": role, "vars": put}])
        assert went_well, output
        return " ".join(output.split())

    (machine.folder / "maglica.conf").write_text(f"[client_worker]\npublic_key = {OTHER_KEY}\n")
    assert "run maglica.cloud.deploy" not in told()
    (machine.folder / "maglica.conf").write_text(f"[client_worker]\npublic_key = {'y' * 40}\n")
    text = told(address="192.0.2.9", ca_left=True)
    assert "has been replaced since that backup was made" in text
    assert "Its address was 192.0.2.9: run maglica.cloud.deploy" in text
    assert f"move {machine.folder}/ca away and run this again" in text
    # Where nobody has deployed from, nothing is known.
    (machine.folder / "maglica.conf").unlink()
    assert "run maglica.cloud.deploy" not in told()


def test_what_can_t_work_is_refused_before_anything_is_made(machine: Deployment) -> None:
    def refused(**variables: Any) -> dict[str, Any]:
        return {
            "block": [include("machines", **variables)],
            "rescue": [{"meta": "clear_host_errors"}],
        }

    machine.groups = {"maglica_client_worker": ["localhost", "other"], "maglica_hosts": ["kvm0"]}
    two = refused()
    _went_well, output = machine.run([two])
    said = " ".join(output.split())
    assert (
        "has to have one machine, since a cloud has one client worker. It has localhost, other"
        in said
    )

    machine.groups["maglica_client_worker"] = ["localhost"]
    address = refused(maglica_client_worker_address="192.0.2.1")
    _went_well, output = machine.run([address, refused()])
    said = " ".join(output.split())
    assert said.count("[ERROR]") == 1
    assert "The address of the client worker is localhost, which for kvm0 is kvm0 itself." in said


@pytest.fixture
def bare(machine: Deployment) -> Deployment:
    """A machine on which nothing was deployed."""
    for file in ("access.d", "client_worker.pub"):
        machine.folder.joinpath(file).rename(machine.folder / f"no-{file}")
    machine.groups = {"maglica_client_worker": ["localhost"], "maglica_hosts": ["localhost"]}
    machine.variables["library_packages"] = ["nobody-has-this"]
    machine.variables["libvirtd_packages"] = ["nobody-has-that"]
    machine.variables["maglica_config_dir"] = str(machine.folder / "etc")
    return machine


def check(bare: Deployment, name: str) -> str:
    """Run a playbook in check mode, which has to leave nothing; return what it says."""
    left = bare.folder / "tmp"
    before = sorted(bare.folder.iterdir())
    playbook = CHECKOUT / "playbooks" / f"{name}.yml"
    went_well, output = bare.play(playbook, "--check", "--diff", TMPDIR=str(left))
    assert went_well, output
    written = {bare.folder / "hosts.yml", left}
    assert set(bare.folder.iterdir()) - set(before) <= written
    assert list(left.iterdir()) == []
    return output


def test_check_mode_works_on_bare_machines_and_leaves_nothing(bare: Deployment) -> None:
    output = check(bare, "deploy")
    assert "nobody-has-that would be installed" in output
    assert "nobody-has-this would be installed" in output


def test_an_upgrade_in_check_mode_says_what_runs_and_what_would_come(bare: Deployment) -> None:
    output = " ".join(check(bare, "upgrade").split())
    for worker in ("client", "host"):
        assert re.search(f"localhost: {worker} worker does not run, [0-9a-f]{{12}} would", output)


def test_a_python_that_the_client_worker_s_service_can_t_see_is_refused(
    machine: Deployment,
) -> None:
    machine.variables["client_worker_state_dir"] = str(machine.folder)
    machine.folder.joinpath("python").symlink_to("/home/alice/venv/bin/python")
    machine.variables["maglica_python"] = str(machine.folder / "python")
    tasks = CHECKOUT / "roles" / "client_worker" / "tasks" / "main.yml"
    went_well, output = machine.run([{"ansible.builtin.include_tasks": str(tasks)}], "--check")
    assert not went_well
    assert "python, which is /home/alice/venv/bin/python on localhost" in " ".join(output.split())


def test_a_folder_that_the_client_worker_s_service_can_t_see_is_refused(
    machine: Deployment,
) -> None:
    machine.variables["client_worker_state_dir"] = "/home/maglica"
    tasks = CHECKOUT / "roles" / "client_worker" / "tasks" / "main.yml"
    went_well, output = machine.run([{"ansible.builtin.include_tasks": str(tasks)}], "--check")
    assert not went_well
    assert "client_worker_state_dir of localhost is /home/maglica: " in " ".join(output.split())
