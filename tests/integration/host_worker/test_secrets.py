# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Password hashes, user data and the secret keys are looked for everywhere, while and after vms
are made.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.model.request import Request, State
from support.client_worker import Worker, environment, eventually
from support.host_worker import HOST, Cell, HostWorker
from support.own_libvirtd import OwnLibvirtd
from support.process_spy import ProcessSpy
from support.reports import IMAGE

pytestmark = pytest.mark.alone

NAME, FAILING = "vm0.example.jp", "fail0.example.jp"
MARK = "confidentialconfidential"
SECRET = f"$6$saltsalt${MARK}"
# The workers' own programs, with all that any library might log.
DEBUGGING = """
import importlib, logging, sys
from maglica.system import log
real = log.start
log.start = lambda program, *_more, **_named: real(program, logging.DEBUG)
raise SystemExit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
"""


class DebuggedWorker(Worker):
    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", DEBUGGING, *super().command(*arguments)[2:]]


class DebuggedHost(HostWorker):
    def command(self) -> list[str]:
        return [sys.executable, "-c", DEBUGGING, *super().command()[2:]]


@pytest.fixture
def debugged(tmp_path: Path, shared_libvirtd: OwnLibvirtd) -> Iterator[Cell]:
    """Both workers, which log all that there is, and a configuration for the library."""
    with ExitStack() as stack:
        (tmp_path / "client").mkdir()
        worker = DebuggedWorker(tmp_path / "client")
        stack.callback(worker.close)
        host = DebuggedHost(tmp_path / "host", worker, shared_libvirtd.uri)
        stack.callback(host.close)
        host.allow()
        cell = Cell(worker, host, shared_libvirtd)
        stack.callback(cell.close)
        cell.start()
        yield cell


def library(cell: Cell) -> Path:
    """Write the configuration of somebody who clones."""
    where = cell.worker.where
    cell.worker.grant("client", "bob")
    (key,) = cell.worker.folder.glob("client.bob.*.key")
    path = cell.worker.folder / "library.conf"
    path.write_text(
        f"[client_worker]\naddress = {where.address}\npublic_key = {where.public_key}\n"
        f"publish_port = {where.publish_port}\nrequest_port = {where.request_port}\n"
        f"[library]\nsecret_key_file = {key}\n[host {HOST}]\nuri = {cell.libvirtd.uri}\n"
    )
    return path


def play(checkout: Path, folder: Path, config: Path) -> subprocess.Popen[str]:
    """Clone in check mode with a diff, clone, and clone what fails, and tell all about it."""

    def task(name: str, **more: Any) -> dict[str, Any]:
        module = {"name": name, "image": IMAGE, "root_password": "{{ secret }}"}
        module["user"] = {"name": "admin", "password": "{{ secret }}"}
        module["user_data"] = "#!/bin/sh\necho {{ secret }}\n"
        module |= {"config": str(config), "wait_for": "cloned", "host": HOST}
        return {"maglica.cloud.maglica_vm": module, "register": "found", **more}

    tasks = [
        task(NAME, check_mode=True, diff=True),
        task(NAME, diff=True),
        {"debug": {"var": "found"}},
        task(FAILING, ignore_errors=True),
        {"debug": {"var": "found"}},
    ]
    # Not as an extra variable, which would be an argument of Ansible's own.
    (folder / "secret.yml").write_text(yaml.safe_dump({"secret": SECRET}))
    content = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    content["vars_files"] = [str(folder / "secret.yml")]
    content["vars"] = {"ansible_python_interpreter": sys.executable}
    (folder / "play.yml").write_text(yaml.safe_dump([content], sort_keys=False))
    program = Path(sys.executable).parent / "ansible-playbook"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MAGLI"))}
    return subprocess.Popen(
        [str(program), "-vvv", "-i", "localhost,", str(folder / "play.yml")],
        cwd=checkout,
        env={
            **inherited,
            "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def listing(config: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "maglica.cli.main", *words],
        env=environment(MAGLICA_CONFIG=str(config)),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout + done.stderr


def working(cell: Cell) -> Request | None:
    """The request that a child of the host worker is at."""
    requests = cell.client.ask("list")[1]["requests"]
    return next((request for request in requests if request.phase == "copy"), None)


def test_secrets_are_seen_nowhere(debugged: Cell, checkout: Path, tmp_path: Path) -> None:
    cell = debugged
    config = library(cell)
    keys = [path.read_text().strip() for path in tmp_path.rglob("*.key")]
    assert len(keys) >= 4
    cell.host.block(NAME, "copied")
    seen: dict[str, str] = {}
    with ProcessSpy(MARK.encode(), *(key.encode() for key in keys)) as spy:
        ansible = play(checkout, tmp_path, config)
        try:
            request = eventually(lambda: working(cell), 60)
            # The request is under way, with its secret, and a child works at it.
            seen["list"] = listing(config, "request", "list")
            seen["list as JSON"] = listing(config, "--json", "request", "list")
            seen["status"] = json.dumps(repr(cell.now(request)))
            eventually(lambda: {ansible.pid, *cell.host.children()} <= spy.looks)
            cell.host.unblock(NAME, "copied")
            seen["ansible -vvv"], _errors = ansible.communicate(timeout=100)
        finally:
            # Its workers and their tasks are in its process group.
            if ansible.poll() is None:
                os.killpg(ansible.pid, signal.SIGKILL)
            ansible.wait()
    assert ansible.returncode == 0, seen["ansible -vvv"]
    assert NAME in seen["list"]
    states = [each.state for each in cell.client.ask("list")[1]["requests"]]
    assert sorted(states) == [State.DONE, State.FAILED]
    seen["list afterwards"] = listing(config, "--json", "request", "list")
    cell.host.stop()
    cell.worker.stop()
    seen["log of the client worker"] = cell.worker.log
    seen["log of the host worker"] = cell.host.log
    journals = [*cell.worker.folder.glob("journal.sqlite*"), *cell.host.state.rglob("*.sqlite*")]
    assert len(journals) >= 2
    for path in journals:
        seen[path.name] = path.read_bytes().decode("latin-1")
    assert spy.seen == set()
    for where, text in seen.items():
        assert MARK not in text, where
        assert not any(key in text for key in keys), where


def test_the_spy_sees_arguments_and_environments() -> None:
    asleep = [sys.executable, "-c", "import time; time.sleep(20)"]
    with ProcessSpy(MARK.encode()) as spy:
        for more, environ in (([MARK], {}), ([], {"HASH": MARK})):
            count = len(spy.seen)
            with subprocess.Popen([*asleep, *more], env={**os.environ, **environ}) as process:
                eventually(lambda count=count: len(spy.seen) > count)
                process.kill()
    assert sorted(each.split()[0] for each in spy.seen) == ["cmdline", "environ"]
