# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that deployed the cloud, run again for one host only; the services it has made."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import ssl
from pathlib import Path

import libvirt
import pytest
from support.authority import LASTING, SCRIPT, new_key, request
from support.cloud import CHECKOUT, STATE, Cloud
from support.reading import reasons

NEW_KEY = """
cd /etc/maglica && rm host_worker.key host_worker.pub
exec python3 /usr/local/lib/maglica/current/maglica/run.py maglica.wire.keys $PWD/host_worker.key
"""


def deploy(cloud: Cloud, host: str, *options: str) -> int:
    """Deploy to one host; return how many tasks changed something."""
    output = cloud.run(
        *("ansible-playbook", str(CHECKOUT / "playbooks/deploy.yml")),
        *("-i", str(STATE / "hosts.yml"), "--limit", host, *options),
    )
    recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) .*failed=(\d+)", output, re.MULTILINE)
    assert [(name, failed) for name, _changed, failed in recap] == [(host, "0")], output
    return int(recap[0][1])


def test_what_a_run_that_failed_has_left_is_put_right_by_the_next(cloud: Cloud) -> None:
    """It has made a new key, and failed before it restarted the worker."""
    host = cloud.hosts[1]
    key = cloud.ssh(host, NEW_KEY)
    assert deploy(cloud, host)
    cloud.wait_alive(host, alive=True)
    assert f"host {host} {key}" in cloud.ssh(cloud.client, "cat /etc/maglica/access").splitlines()
    assert deploy(cloud, host) == 0


def test_systemd_watches_over_the_workers(cloud: Cloud) -> None:
    for machine, unit in (
        (cloud.client, "maglica-client-worker"),
        *((host, "maglica-host-worker") for host in cloud.hosts),
    ):
        shown = cloud.ssh(machine, f"systemctl show -P WatchdogUSec -P ActiveState {unit}")
        assert sorted(shown.split()) == ["2min", "active"]


def test_how_the_cloud_is_is_shown_and_nothing_is_changed(cloud: Cloud, tmp_path: Path) -> None:
    """One more host is in the inventory, which is not there."""
    nobody = str(ipaddress.ip_address(cloud.description["client"]["address"]) + 7)
    more = {"hosts": {"kvm9.example.jp": {"ansible_host": nobody}}}
    (tmp_path / "more.yml").write_text(json.dumps({"maglica_hosts": more}))
    playbook = str(CHECKOUT / "playbooks/status.yml")
    where = ("-i", str(STATE / "hosts.yml"), "-i", str(tmp_path / "more.yml"))
    output = cloud.run("ansible-playbook", playbook, *where, check=False)
    said = " ".join(output.split())
    assert f"{cloud.client}: unit maglica-client-worker active" in said
    for host in cloud.hosts:
        assert f"{host}: unit maglica-host-worker active" in said
        assert re.search(rf"{host} +up +\S+\+[0-9a-f]{{12}} ", said)
    assert "kvm9.example.jp is down, or can not be logged in to" in said
    assert set(re.findall(r"changed=(\d+)", output)) == {"0"}


def given(cloud: Cloud, folder: Path, name: str) -> Path:
    """Have a certificate for a user of this name, as the role would ask for it on his machine."""
    key = new_key()
    asked = {"kind": "client", "name": name, "request": request(key), "certificate": ""}
    script = base64.b64encode(SCRIPT.read_bytes()).decode()
    given = base64.b64encode(json.dumps({**LASTING, **asked}).encode()).decode()
    run = f'python3 -Ic "$(echo {script} | base64 -d)" /etc/maglica/ca issue'
    made = json.loads(cloud.ssh(cloud.client, f"echo {given} | base64 -d | {run}"))
    folder.mkdir()
    (folder / "clientkey.pem").write_text(key)
    (folder / "clientcert.pem").write_text(made["certificate"])
    (folder / "cacert.pem").write_text(made["authority"])
    return folder


def test_a_user_whose_certificate_is_taken_back_is_out_at_once(
    cloud: Cloud, tmp_path: Path
) -> None:
    address = cloud.description["hosts"][0]["address"]
    bob = given(cloud, tmp_path / "bob", "bob@elsewhere")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "cacert.pem").write_text((bob / "cacert.pem").read_text())
    (reason,) = reasons(address, stranger)
    assert "there is none, or it was taken back" in reason
    opened = libvirt.open(f"qemu+tls://{address}/system?pkipath={bob}")
    assert opened.listDomainsID() is not None
    served = ssl.get_server_certificate((address, 16514))
    # The host's own is made anew in passing, which libvirtd reads while it runs.
    cloud.run(
        *("ansible-playbook", str(CHECKOUT / "playbooks/revoke.yml")),
        *("-i", str(STATE / "hosts.yml"), "-e", "certificates_renew_days=365"),
        *("-e", "revoke_role=client", "-e", "revoke_name=bob@elsewhere"),
    )
    with pytest.raises(libvirt.libvirtError):
        opened.getHostname()
    (reason,) = reasons(address, bob)
    assert "bob: there is none, or it was taken back" in reason
    assert ssl.get_server_certificate((address, 16514)) != served
    assert reasons(address, STATE / "pki") == []
