# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two vms are cloned from one image and boot; then all that must be their own is looked at."""

from __future__ import annotations

import json
import shlex

import pytest
from support.cloud import IMAGE, Cloud, Result
from support.documents import block

NAMES = ("web0.example.jp", "web1.example.jp")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmAgZtD1g9yPvH0P8q4zUHDJdJ0T1yYF0uW8yXxkX6i tester"


@pytest.fixture(scope="module")
def digests(cloud: Cloud) -> dict[str, str]:
    return {host: cloud.image_digest(host) for host in cloud.hosts}


@pytest.fixture(scope="module")
def pair(cloud: Cloud, clone, digests) -> list[Result]:
    """Return two running vms on one host, where a shared client id would show as a shared lease."""
    host = cloud.hosts[0]
    return [
        clone(
            name,
            host=host,
            wait_for="address",
            ssh_authorized_keys=[KEY, cloud.public_key],
            memory=320,
        )
        for name in NAMES
    ]


def _address(result: Result) -> str:
    (address,) = result["vm"]["interfaces"][0]["addresses"]
    return address


def test_each_lease_bears_the_new_name(cloud: Cloud, pair: list[Result]) -> None:
    given = cloud.leases(cloud.hosts[0])
    leases = [given[vm["vm"]["interfaces"][0]["mac"]] for vm in pair]
    assert [lease["hostname"] for lease in leases] == [name.partition(".")[0] for name in NAMES]
    assert [lease["ipaddr"] for lease in leases] == [_address(vm) for vm in pair]
    assert len({lease["ipaddr"] for lease in leases}) == len(NAMES)
    assert len({lease["clientid"] for lease in leases}) == len(NAMES)


def test_qemu_runs_as_on_any_debian_host(cloud: Cloud, pair: list[Result]) -> None:
    for name in NAMES:
        show = f"ps -o user:32= -p $(cat /run/libvirt/qemu/{name}.pid)"
        assert cloud.ssh(cloud.hosts[0], show) == "libvirt-qemu"


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("machine-id", "cat /etc/machine-id"),
        ("host name", "hostname"),
        ("MAC", "cat /sys/class/net/enp1s0/address"),
        ("SSH host keys", "cat /etc/ssh/ssh_host_*_key.pub"),
        ("random seed", "sha256sum /var/lib/systemd/random-seed"),
    ],
)
def test_differs_between_the_clones(
    cloud: Cloud, pair: list[Result], what: str, command: str
) -> None:
    told = [cloud.in_guest(_address(vm), command) for vm in pair]
    assert all(told), what
    assert told[0] != told[1], what


def test_the_guests_are_as_asked_for(cloud: Cloud, pair: list[Result]) -> None:
    for name, result in zip(NAMES, pair):
        address = _address(result)
        assert cloud.in_guest(address, "hostname -f") == name
        assert cloud.in_guest(address, "cat /etc/hostname") == name
        assert name in cloud.in_guest(address, "cat /etc/hosts")
        assert KEY in cloud.in_guest(address, "cat /root/.ssh/authorized_keys")
        assert cloud.in_guest(address, "systemctl is-system-running --wait") == "running"
        assert "/00-maglica-0.network" in cloud.in_guest(address, "networkctl status enp1s0")
        assert 200 < int(cloud.in_guest(address, "free -m").split()[7]) <= 320
        keys = {line.split()[1] for line in result["vm"]["ssh_host_keys"]}
        seen = cloud.in_guest(address, "cat /etc/ssh/ssh_host_*_key.pub").splitlines()
        assert keys == {line.split()[1] for line in seen if line}


def test_their_identity_was_written_without_an_appliance(cloud: Cloud, pair: list[Result]) -> None:
    log = cloud.ssh(cloud.hosts[0], "journalctl -q -o cat -u maglica-host-worker")
    for result in pair:
        assert f"guest customized by areas: key={result['request']['id']}" in log
        assert f"guest needs an appliance: key={result['request']['id']}" not in log


def test_the_journals_know_which_request_and_host_a_line_is_about(
    cloud: Cloud, pair: list[Result]
) -> None:
    of_request, of_host = block("docs/security.md", "journalctl").commands
    request = pair[0]["request"]["id"]
    of_request[-1] = f"MAGLICA_REQUEST={request}"
    of_host[-1] = f"MAGLICA_HOST={cloud.hosts[0]}"
    for machine in (cloud.client, cloud.hosts[0]):
        assert request in cloud.ssh(machine, f"{shlex.join(of_request)} --no-pager -q -o cat")
    told = cloud.ssh(cloud.client, f"{shlex.join(of_host)} --no-pager -q -o cat")
    assert f"host {cloud.hosts[0]} is alive" in told


def test_vms_are_not_in_the_worker_s_control_group(cloud: Cloud, pair: list[Result]) -> None:
    group = cloud.ssh(cloud.hosts[0], f"cat /proc/$(cat /run/libvirt/qemu/{NAMES[0]}.pid)/cgroup")
    assert "maglica" not in group.replace(NAMES[0], "")
    worker = "$(systemctl show -P MainPID maglica-host-worker)"
    assert "/maglica.slice/" in cloud.ssh(cloud.hosts[0], f"cat /proc/{worker}/cgroup")


def test_the_original_is_unchanged(
    cloud: Cloud, pair: list[Result], digests: dict[str, str]
) -> None:
    assert {host: cloud.image_digest(host) for host in cloud.hosts} == digests


def test_the_result_says_what_was_done(pair: list[Result]) -> None:
    for result in pair:
        assert result.status == "CHANGED"
        assert result["vm"]["state"] == "running"
        assert result["vm"]["image"] == IMAGE
        assert result["request"]["state"] == "done"
        phases = [phase["name"] for phase in result["request"]["phases"]]
        assert phases[-5:] == ["base", "copy", "customize", "define", "start"]


def test_again_changes_nothing(cloud: Cloud, pair: list[Result]) -> None:
    again = cloud.vm(NAMES[0], image=IMAGE)
    assert again.status == "SUCCESS"
    assert again["vm"]["uuid"] == pair[0]["vm"]["uuid"]


def test_the_inventory_reaches_the_guests(cloud: Cloud, pair: list[Result]) -> None:
    listed = cloud.inventory()
    variables = listed["_meta"]["hostvars"]
    assert [variables[name]["ansible_host"] for name in NAMES] == [_address(vm) for vm in pair]
    assert IMAGE in json.dumps(listed["maglica_images"])
    pong = cloud.run("ansible", ",".join(NAMES), "-m", "ping")
    assert pong.count('"ping": "pong"') == len(NAMES)


def test_stop_and_start(cloud: Cloud, pair: list[Result]) -> None:
    stopped = cloud.vm(NAMES[1], state="stopped")
    assert (stopped.status, stopped["vm"]["state"]) == ("CHANGED", "stopped")
    assert cloud.vm(NAMES[1], state="stopped").status == "SUCCESS"
    resized = cloud.vm(NAMES[1], state="stopped", vcpus=2, memory=384)
    assert (resized.status, resized["vm"]["vcpus"]) == ("CHANGED", 2)
    started = cloud.vm(NAMES[1], state="running", wait_for="address")
    assert (started.status, started["vm"]["state"]) == ("CHANGED", "running")
    assert cloud.in_guest(_address(started), "nproc") == "2"
