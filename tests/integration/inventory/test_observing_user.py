# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a user with no rights, without libvirt and /proc, with an observer's key."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from maglica.model.reported import ReportedDomain, ReportedInterface
from maglica.model.vm import Disk, vm_uuid
from support.client_worker import Worker
from support.observing_user import ObservingUser
from support.reports import report, showing

# Those of ansible-core and pyzmq in the tests' own venv.
PACKAGES = ("ansible", "ansible_core-*", "jinja2*", "markupsafe*", "packaging*", "resolvelib*")
ZMQ = ("zmq", "pyzmq*")
ADDRESS = "192.0.2.7"
KEY = f"ssh-ed25519 {'A' * 68}"


@pytest.fixture
def user(checkout: Path) -> Iterator[ObservingUser]:
    user = ObservingUser(checkout)
    site = Path(sysconfig.get_path("purelib"))
    user.lend_packages(site, (*PACKAGES, *ZMQ), without=("libvirt", "libvirtmod", "guestfs"))
    yield user
    user.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    # Its hosts say hello once, and must not count as down before Ansible has begun.
    worker = Worker(tmp_path, host_timeout=3600)
    worker.start()
    yield worker
    worker.close()


def _say(worker: Worker, name: str, *shown: ReportedDomain, **facts: object) -> None:
    said = showing(report(**facts), shown)
    kind, answer = worker.host(name).ask("hello", host=name, report=said, requests=[], shown=shown)
    assert kind == "welcome", answer


def _domain(name: str, host: str, **fields: object) -> ReportedDomain:
    nic = ReportedInterface("52:54:00:00:00:01", "default", {"lease": (ADDRESS,)})
    return ReportedDomain(
        *(name, vm_uuid(name), host, "running", True, True), interfaces=(nic,), **fields
    )


def test_an_inventory_of_reports(user: ObservingUser, worker: Worker) -> None:
    config = user.configure(worker.where, worker.grant("observer", "nobody"))
    disk = Disk("vda", "disk", "qcow2", "/pool/a", 1 << 30, 4096)
    made = {"image": "debian12.original", "vcpus": 2, "tags": ("web",), "disks": (disk,)}
    _say(worker, "kvm0", _domain("vm0", "kvm0", ssh_host_keys=(KEY,), **made))
    _say(worker, "kvm1", _domain("vm1", "kvm1"), libvirt_error="libvirtd is silent")
    options = {
        "plugin": "maglica.cloud.maglica",
        "config": str(config),
        "include": ["vms", "hosts"],
        "include_filters": [{"host": ["kvm*"], "state": ["running"]}],
        "compose": {"ansible_user": "'admin'"},
        "keyed_groups": [{"key": "maglica_tags", "prefix": "tag"}],
    }
    # Neither libvirt nor hosts being there, it is the client worker that is asked.
    path = user.own("maglica.yml", yaml.safe_dump(options))
    hosts, warnings = user.inventory(path)
    assert hosts.keys() == {"kvm0", "kvm1", "vm0"}
    vm = hosts["vm0"]
    assert vm["ansible_host"] == vm["maglica_address"] == ADDRESS
    assert (vm["ansible_user"], vm["maglica_ssh_host_keys"]) == ("admin", [KEY])
    assert vm["maglica_disks"][0]["capacity_bytes"] == 1 << 30
    assert 0 <= vm["maglica_report_age_s"] < 60
    assert (hosts["kvm0"]["maglica_reachable"], hosts["kvm0"]["maglica_uri"]) == (True, None)
    (silent,) = vm["maglica_unreachable_hosts"]
    assert silent["host"] == "kvm1"
    assert silent["text"].startswith("its libvirtd is silent: libvirtd is silent; its last report")
    assert f"host kvm1 is left out: {silent['text']}" in warnings


def test_what_such_a_user_can_not_do(user: ObservingUser, worker: Worker) -> None:
    config = user.configure(worker.where, worker.grant("observer", "nobody"))
    options = {"plugin": "maglica.cloud.maglica", "config": str(config)}

    def refused(**more: object) -> str:
        path = user.own("maglica.yml", yaml.safe_dump({**options, **more}))
        done = user.run("-m", "ansible", "inventory", "--inventory", str(path), "--list")
        assert done.returncode
        return " ".join(done.stderr.split())

    assert "it takes the source libvirt" in refused(xml=True)
    assert "section [host NAME] is missing" in refused(source="libvirt")
    hosts = [{"name": "kvm0", "uri": "test+tcp://127.0.0.1:1/default"}]
    assert "this Python lacks libvirt-python" in refused(source="libvirt", hosts=hosts)
