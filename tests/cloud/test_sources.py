# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sources show the same of real hosts, and one of them to a user with no rights at all."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.config import config
from maglica.wire import keys
from support.cloud import CHECKOUT, IMAGE, STATE, Cloud, Result
from support.observing_user import ObservingUser

VM = "shown.example.jp"
# The access file is made of the files in the folder beside it, one for each name.
KEY = "/etc/maglica/access.d/observer-watcher"
ASSEMBLE = "cd /etc/maglica && cat access.d/* > access.new && mv access.new access"
# What differs with the source: the age, how long a host took, and the host workers' version, which
# libvirt does not know; the memory that is free and what guests have written differ from one moment
# to the next.
PASSING = re.compile(
    r"report_age_s|maglica_seconds|maglica_worker_version"
    r"|memory_free_mib|free_bytes|allocation_bytes"
)
EVERYTHING = {"plugin": "maglica.cloud.maglica", "include": ["vms", "images", "hosts"]}


@pytest.fixture(scope="module")
def vm(cloud: Cloud, clone) -> Result:
    return clone(
        VM, host=cloud.hosts[0], tags=["stage:test", "web"], wait_for="address", vcpus=1, memory=256
    )


@pytest.fixture(scope="module")
def user(cloud: Cloud) -> Iterator[ObservingUser]:
    """A user with ansible-core and pyzmq in a clean venv, and an observer's key."""
    user = ObservingUser(CHECKOUT)
    venv = user.folder / "venv"
    wanted = (CHECKOUT / "requirements-dev.txt").read_text().splitlines()
    wanted = [line for line in wanted if line.startswith(("ansible-core=", "pyzmq="))]
    cache = {**os.environ, "PIP_CACHE_DIR": str(CHECKOUT / "build/cache/pip")}
    subprocess.run(["/usr/bin/python3", "-m", "venv", str(venv)], check=True)
    install = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", *wanted]
    subprocess.run(install, env=cache, check=True)
    user.python = str(venv / "bin/python")
    pair = keys.make(user.folder / "watcher.key")
    line = f"observer watcher {pair.public.decode()}"
    cloud.ssh(cloud.client, f"echo '{line}' > {KEY} && {ASSEMBLE}")
    peer = config.load(str(STATE / "maglica.conf")).need_client_worker()
    user.configure(peer, pair)
    yield user
    cloud.ssh(cloud.client, f"rm {KEY} && {ASSEMBLE}")
    user.close()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(each) for key, each in value.items() if not PASSING.search(key)}
    return [_lasting(each) for each in value] if isinstance(value, list) else value


def _by(cloud: Cloud, folder: Path, source: str, **options: object) -> Mapping[str, Any]:
    path = folder / f"{source}.maglica.yml"
    asked = {**EVERYTHING, "config": str(STATE / "maglica.conf"), "source": source, **options}
    path.write_text(yaml.safe_dump(asked))
    return _lasting(cloud.listed(path))


# A guest's agent, and what its addresses are in the host's tables, may be known to one of the
# sources some seconds before it is to the other.
@pytest.mark.parametrize("source", ["lease", "agent", "recorded"])
def test_both_sources_show_the_same(cloud: Cloud, vm: Result, tmp_path: Path, source: str) -> None:
    deadline = time.monotonic() + 240
    while True:
        libvirt, reported = (
            _by(cloud, tmp_path, each, address_sources=[source])
            for each in ("libvirt", "client_worker")
        )
        known = source == "recorded" or "ansible_host" in libvirt[VM]
        if (known and libvirt == reported) or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert known
    assert reported == libvirt
    assert {VM, IMAGE, *cloud.hosts} <= libvirt.keys()


def test_a_change_is_shown_at_once_by_both(cloud: Cloud, vm: Result, tmp_path: Path) -> None:
    for tags in (["one"], ["one", "two"], ["stage:test", "web"]):
        cloud.vm(VM, tags=tags)
        for source in ("client_worker", "libvirt"):
            assert _by(cloud, tmp_path, source)[VM]["maglica_tags"] == tags, source


def test_a_user_without_rights_sees_all(
    cloud: Cloud, user: ObservingUser, vm: Result, tmp_path: Path
) -> None:
    for package in ("libvirt", "guestfs"):
        assert user.run("-c", f"import {package}").returncode, package
    path = user.own("maglica.yml", yaml.safe_dump({**EVERYTHING, "config": "maglica.conf"}))
    found, warnings = user.inventory(path)
    assert not warnings
    libvirt = _by(cloud, tmp_path, "libvirt")
    # How a host is reached is known to nobody here.
    for hosts in (found, libvirt):
        for name in cloud.hosts:
            hosts[name].pop("maglica_uri")
    assert _lasting(found) == libvirt
    assert 0 <= found[VM]["maglica_report_age_s"] < 30


def test_a_vm_without_libvirt_here(cloud: Cloud, clone) -> None:
    name = "unseen.example.jp"
    made = clone(name, source="client_worker", wait_for="address", memory=256)
    assert made.status == "CHANGED"
    assert made["vm"]["address"]
    again = cloud.vm(name, image=IMAGE, source="client_worker", memory=256, wait_for="address")
    assert again.status == "SUCCESS", again.output
    assert [again["vm"][key] for key in ("uuid", "address")] == [
        made["vm"][key] for key in ("uuid", "address")
    ]
    assert cloud.vm(name, source="client_worker", state="stopped", force=True).status == "CHANGED"
    assert cloud.vm(name, source="libvirt", state="stopped").status == "SUCCESS"
