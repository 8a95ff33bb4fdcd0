# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks where the inventory has nothing but this machine, or not enough."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ALONE = ("-i", "localhost,", "-c", "local")


def play(playbook: str, folder: Path, *options: str) -> tuple[bool, str]:
    """Run one of the collection's playbooks; return whether it went well, and what was printed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", f"maglica.cloud.{playbook}", *options],
        cwd=CHECKOUT,
        env={
            **clean,
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, " ".join((done.stdout + done.stderr).split())


def elsewhere(folder: Path) -> tuple[str, str]:
    """Return options by which nothing of this machine's own is meant."""
    names = (
        *("maglica_library_dir", "maglica_config_dir", "maglica_access_dir"),
        *("library_user_dir", "library_command"),
        *("client_worker_state_dir", "host_worker_state_dir"),
    )
    return "-e", json.dumps({name: str(folder / name) for name in names})


def test_one_machine_is_all_and_bears_the_name_that_it_gives_itself(tmp_path: Path) -> None:
    # Where tests run there need be no systemd that could run libvirt's daemons.
    options = (*ALONE, "--check", *elsewhere(tmp_path), "-e", "libvirtd_manage=false")
    went_well, output = play("deploy", tmp_path, *options)
    assert went_well, output
    for file in ("client_worker.key", "host_worker.key"):
        assert f"{platform.node()} lacks {tmp_path}/maglica_config_dir/{file}" in output
    assert f"localhost lacks {tmp_path}/library_user_dir/library.key" in output
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


def test_where_nothing_is_left_a_removal_changes_nothing(tmp_path: Path) -> None:
    """The units and the block in libvirtd.conf that deploying makes are not on this machine."""
    went_well, output = play("remove", tmp_path, *ALONE, "--check", *elsewhere(tmp_path))
    assert went_well, output
    assert set(re.findall(r"changed=(\d+)", output)) == {"0"}
    # All three parts of it.
    assert set(re.findall(r"(\S+) : ok=", output)) == {platform.node(), "localhost"}
    assert "Remember that the client worker is gone" in output
    assert "Remove the key" in output


@pytest.mark.parametrize(
    ("inventory", "told"),
    [
        ("server.example.jp", "no group maglica_client_worker and no group maglica_hosts"),
        ("[maglica_hosts]\nkvm0.example.jp", "no group maglica_client_worker. "),
        ("[maglica_client_worker]\nkvm0.example.jp", "no group maglica_hosts. "),
        ("[maglica_hots]\nlocalhost\n[maglica_client_worker]", "no group maglica_hosts. "),
        (None, "no group maglica_client_worker and no group maglica_hosts"),
    ],
)
def test_an_inventory_that_does_not_say_which_machines_are_which_is_refused(
    tmp_path: Path, inventory: str | None, told: str
) -> None:
    """None: somebody has forgotten to name one; this machine is not taken for a host then."""
    hosts = tmp_path / "hosts.ini"
    hosts.write_text(f"{inventory or ''}\n")
    went_well, output = play("machines", tmp_path, "-i", str(hosts))
    assert not went_well
    assert f"The inventory has {told}" in output
    assert "-i localhost, -c local" in output


def test_a_group_may_be_empty(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.ini"
    hosts.write_text("[maglica_client_worker]\nclient.example.jp\n[maglica_hosts]\n")
    went_well, output = play("machines", tmp_path, "-i", str(hosts))
    assert went_well, output
