# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys made and registered by the roles' own tasks, on this machine in a folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml
from maglica import config
from maglica.memory_limit import MemoryLimit

CHECKOUT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: {python}
    library_python: {python}
    library_config_dir: {folder}
    library_access_dir: {folder}
    library_client_worker: localhost
    library_key_pythonpath: {library}
  tasks:
    - name: Make the key
      ansible.builtin.include_role:
        name: maglica.cloud.library
        tasks_from: identity.yml
      vars:
        library_key_file: "{folder}/host_worker.key"
        library_key_owner: root
        library_key_notify: Restart
    - name: Register it
      ansible.builtin.include_role:
        name: maglica.cloud.library
        tasks_from: register.yml
      vars:
        library_role: host
        library_name: kvm0.example.jp
  handlers:
    - name: Restart
      ansible.builtin.file:
        path: "{folder}/restarted"
        state: touch
        mode: "0600"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.d").mkdir()
    texts = {"python": sys.executable, "folder": tmp_path}
    texts["library"] = CHECKOUT / "plugins" / "module_utils"
    (tmp_path / "play.yml").write_text(PLAY.format(**texts))
    return tmp_path


def deploy(folder: Path) -> bool:
    """Run the tasks; return whether whoever has the key was restarted."""
    restarted = folder / "restarted"
    restarted.unlink(missing_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible-playbook", folder / "play.yml"),
            *("-i", "localhost,", "-c", "local"),
        ],
        cwd=CHECKOUT,
        env={**clean, "ANSIBLE_LOCAL_TEMP": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return restarted.exists()


def registered(folder: Path) -> list[str]:
    return (folder / "access").read_text().splitlines()


def test_a_key_that_is_replaced(folder: Path) -> None:
    public = folder / "host_worker.pub"
    assert deploy(folder)
    assert registered(folder) == [f"host kvm0.example.jp {public.read_text().strip()}"]
    assert not deploy(folder)
    old = public.read_text()
    for path in (public, folder / "host_worker.key"):
        path.unlink()
    assert deploy(folder)
    assert public.read_text() != old
    assert registered(folder) == [f"host kvm0.example.jp {public.read_text().strip()}"]


@pytest.mark.parametrize("role", ["client_worker", "host_worker"])
def test_a_worker_is_restarted_with_its_new_key(role: str) -> None:
    tasks, handlers = (
        yaml.safe_load((CHECKOUT / "roles" / role / kind / "main.yml").read_text())
        for kind in ("tasks", "handlers")
    )
    (notified,) = [
        task["vars"]["library_key_notify"]
        for task in tasks
        if "library_key_file" in task.get("vars", {})
    ]
    assert notified in [handler["name"] for handler in handlers]


def test_the_limits_of_memory_are_written_for_all_hosts_and_for_one() -> None:
    role = CHECKOUT / "roles" / "client_worker"
    text = (role / "templates" / "client_worker.conf.j2").read_text()
    own = {"maglica_memory_overcommit": 1.5, "maglica_memory_reserve": 2048}
    variables = {
        **yaml.safe_load((role / "defaults" / "main.yml").read_text()),
        "library_client_worker_address": "192.0.2.1",
        "library_publish_port": 5555,
        "library_request_port": 5556,
        "library_hosts_group": "kvm",
        "groups": {"kvm": ["a", "b"]},
        "hostvars": {"a": own, "b": {}},
    }
    # As the template module has it.
    template = jinja2.Environment(trim_blocks=True, autoescape=False).from_string(text)  # noqa: S701
    read = config.parse(template.render(variables), Path("/etc/maglica/client_worker.conf"))
    limits = [read.need_client_worker_service().memory_limit(host) for host in read.hosts]
    assert limits == [MemoryLimit(1.5, 2048), MemoryLimit(1.0, 512)]
