# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's play makes ssh know the vms' host keys, and changes nothing when it is run again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from maglica.model.vm import vm_uuid
from support import testdriver
from support.documents import block
from support.testdriver import Libvirtd

from .conftest import REQUEST, Inventory


def _keys(folder: Path) -> list[str]:
    """Make keys of two types; return their public halves."""
    lines = []
    for kind in ("ed25519", "ecdsa"):
        path = folder / kind
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "root@vm0", "-f", str(path)]
        subprocess.run(command, capture_output=True, text=True, check=True)
        lines.append(path.with_suffix(".pub").read_text().strip())
    return lines


def _define(libvirtd: Libvirtd, keys: list[str]) -> str:
    told = "".join(f"<maglica:ssh_host_key>{key}</maglica:ssh_host_key>" for key in keys)
    metadata = (
        "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='i'"
        f" request='{REQUEST}' created='1' who='w' clone_mode='linked'>{told}</maglica:vm>"
    )
    domains = [
        testdriver.domain("vm0", 1, identity=vm_uuid(REQUEST), metadata=metadata),
        testdriver.domain("others", 2),
    ]
    return libvirtd.uri(testdriver.node(libvirtd.folder / "known.xml", domains))


def _changes(inventory: Inventory) -> bool:
    """Run the play of the README; say whether it changed something."""
    (inventory.folder / "play.yml").write_text(block("README.md", "known_hosts").text)
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml"]
    done = subprocess.run(
        [*command, "-i", "maglica.yml", "-e", f"ansible_python_interpreter={sys.executable}"],
        env=inventory.environment,
        cwd=inventory.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    recap = re.findall(r" changed=(\d+)", done.stdout)
    assert recap
    return set(recap) != {"0"}


def test_the_keys_are_known_after_one_run_and_the_same_after_two(
    libvirtd: Libvirtd, inventory: Inventory
) -> None:
    keys = _keys(inventory.folder)
    options = {"hosts": [{"name": "kvm0", "uri": _define(libvirtd, keys)}]}
    vm = inventory.list(options).hosts["vm0"]
    shown = [" ".join(key.split()[:2]) for key in keys]
    assert vm["maglica_ssh_host_keys"] == shown
    known = inventory.folder / ".ssh" / "known_hosts"
    for changed in (True, False):
        assert _changes(inventory) is changed
        assert sorted(known.read_text().splitlines()) == sorted(
            f"{vm['ansible_host']} {key}" for key in shown
        )
