# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the control side takes: all of the way but the clones' own work, which is cheap here.

Real: ansible, module, client worker, two host workers and their children, libvirtd with its test
driver; what changes of a guest that runs is on the test cloud (control_changes.py).
``python -m bench.control`` in tests/ writes build/figures/control.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from maglica.config import config
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.clone import CloneSpec
from maglica.wire.client import Client
from support.client_worker import Worker, eventually
from support.figures import CHECKOUT, Figure, at_most, reported, table, write
from support.host_worker import HostWorker
from support.own_libvirtd import OwnLibvirtd
from support.reports import IMAGE

from . import control_changes

HOSTS = ("kvm0.example.jp", "kvm1.example.jp")
MANY = 100
ROUNDS = 7
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Cell:
    """The running parts; ``config`` is the file of their user."""

    worker: Worker
    hosts: tuple[HostWorker, ...]
    config: Path


@contextmanager
def cell(folder: Path) -> Iterator[Cell]:
    with ExitStack() as stack:
        (folder / "client").mkdir()
        worker = Worker(folder / "client")
        stack.callback(worker.close)
        hosts = []
        uris = {}
        for name in HOSTS:
            libvirtd = OwnLibvirtd()
            stack.callback(libvirtd.close)
            libvirtd.start()
            uris[name] = libvirtd.uri
            host = HostWorker(folder / name, worker, libvirtd.uri, name=name, hello_interval=5)
            host.environment["CHEAP_DEFINE"] = "yes"
            stack.callback(host.close)
            host.allow()
            hosts.append(host)
        worker.start()
        for host in hosts:
            host.start()
        client = worker.peer("client", "alice")
        eventually(lambda: sum(each.alive for each in client.ask("hosts")[1]["hosts"]) == 2)
        client.disconnect()
        yield Cell(worker, tuple(hosts), _write_config(folder, worker, uris))


def _write_config(folder: Path, worker: Worker, uris: dict[str, str]) -> Path:
    (secret,) = worker.folder.glob("client.alice.*.key")
    where = worker.where
    lines = ["[client_worker]", f"address = {where.address}", f"public_key = {where.public_key}"]
    lines += [f"publish_port = {where.publish_port}", f"request_port = {where.request_port}"]
    lines += ["[library]", f"secret_key_file = {secret}"]
    for name, uri in uris.items():
        lines += [f"[host {name}]", f"uri = {uri}"]
    path = folder / "library.conf"
    path.write_text("\n".join([*lines, ""]))
    return path


def many(client: Client, prefix: str) -> tuple[float, dict[str, float]]:
    """Clone MANY vms by the library; return the seconds in all, and when each stage was reached."""
    specs = [CloneSpec(f"{prefix}{number}", IMAGE, memory_mib=16) for number in range(MANY)]
    requests = [Request(new_request_id(), spec) for spec in specs]
    started = time.monotonic()
    reached = {}
    accepted = client.submit_all(requests)
    reached["accepted"] = time.monotonic() - started
    newest: dict[str, Request] = {}

    def note(request: Request) -> None:
        newest[request.id] = request
        waiting = any(each.state in (State.QUEUED, State.SENT) for each in newest.values())
        if len(newest) == MANY and not waiting:
            reached.setdefault("acknowledged", time.monotonic() - started)

    ended = client.wait_all([each.id for each in accepted], 60, note)
    assert {request.state.value for request in ended.values()} == {"done"}
    return time.monotonic() - started, reached


def ansible(config_file: Path, module: str, *, changes: bool, **arguments: object) -> float:
    """Run one ad-hoc command as a user with this file, which changes something or does not; return
    its seconds as a whole process.
    """
    words = ["localhost", "-m", module, *(["-a", json.dumps(arguments)] if arguments else [])]
    seconds, shown = _timed(config_file, "ansible", *words)
    # An empty task is none that changes anything either.
    assert (" | CHANGED => " in shown) == changes, shown
    return seconds


def task(config_file: Path, module: str, **arguments: object) -> float:
    """Run a playbook of one task, which changes nothing; return its seconds as a whole process."""
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{module: arguments}]}
    playbook = config_file.parent / "play.json"
    playbook.write_text(json.dumps([play]))
    seconds, shown = _timed(config_file, "ansible-playbook", str(playbook))
    assert "changed=0" in shown, shown
    return seconds


def _timed(config_file: Path, program: str, *words: str) -> tuple[float, str]:
    variables = json.dumps({"ansible_python_interpreter": sys.executable})
    started = time.monotonic()
    done = subprocess.run(
        [str(BIN / program), "-i", "localhost,", "-c", "local", "-e", variables, *words],
        cwd=CHECKOUT,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(config_file.parent / "tmp"),
            "MAGLICA_CONFIG": str(config_file),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds, done.stdout


def figures(folder: Path) -> list[Figure]:
    found = []
    with cell(folder) as running:
        with Client(config.load(running.config)) as client:
            many(client, "warm")
            seconds, reached = many(client, "lib")
        stages = ", ".join(f"{name} {at:.2f} s" for name, at in reached.items())
        found.append(
            at_most(
                "100 cheap clones on two hosts, handed in by the library, s", seconds, 2, stages
            )
        )
        pings, ones = [], []
        for number in range(ROUNDS):
            pings.append(ansible(running.config, "ping", changes=False))
            vm = {"name": f"one{number}.example.jp", "image": IMAGE}
            ones.append(ansible(running.config, "maglica_vm", changes=True, **vm))
        more = statistics.median(one - ping for one, ping in zip(ones, pings))
        how = f"medians of {ROUNDS} pairs: ping {statistics.median(pings):.2f} s"
        found.append(at_most("ansible -m maglica_vm over ansible -m ping, s", more, 0.6, how))
        found += _group(running.config)
    return found


def _group(config_file: Path) -> list[Figure]:
    """Have a hundred vms by one task, and by the same one again, which has nothing to do."""
    vms = {"name": "web%03d", "count": MANY, "image": IMAGE, "memory": 16}
    seconds = ansible(config_file, "maglica_vms", changes=True, **vms)
    found = [reported("ansible -m maglica_vms for 100, whole process, s", seconds, "once")]
    empty, again, typed = [], [], []
    for _round in range(ROUNDS):
        empty.append(task(config_file, "ansible.builtin.ping"))
        again.append(task(config_file, "maglica.cloud.maglica_vms", **vms) - empty[-1])
        ping = ansible(config_file, "ping", changes=False)
        typed.append(ansible(config_file, "maglica_vms", changes=False, **vms) - ping)
    how = f"medians of {ROUNDS} pairs of playbooks: ping {statistics.median(empty):.2f} s"
    what = "maglica_vms for 100 that are as they shall be, over an empty task, s"
    said = "ad hoc, which writes the hundred vms to the terminal"
    found.append(at_most(what, statistics.median(again), 0.6, how))
    return [*found, reported(f"{what}, typed", statistics.median(typed), said)]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="maglica-bench-") as folder:
        found = figures(Path(folder))
    found += control_changes.figures()
    write("control", found)
    sys.stdout.write(table(found) + "\n")
    return int(any(figure.met is False for figure in found))


if __name__ == "__main__":
    raise SystemExit(main())
