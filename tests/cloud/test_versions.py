# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The original is booted, changed and shut down after a clone: nothing depends on its disk."""

from __future__ import annotations

import base64
import json
import time

import libvirt_qemu
import pytest
from support.client_worker import eventually
from support.cloud import IMAGE, Cloud

MARK = "/etc/marked-by-its-owner"


def _agent(domain, command: dict) -> dict:
    return json.loads(libvirt_qemu.qemuAgentCommand(domain, json.dumps(command), 10, 0))["return"]


def _execute_in_guest(domain, shell: str) -> str:
    """Run a shell command through the guest agent, as soon as the guest has one."""
    deadline = time.monotonic() + 240
    while True:
        try:
            _agent(domain, {"execute": "guest-ping"})
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
    arguments = {"path": "/bin/sh", "arg": ["-c", shell], "capture-output": True}
    pid = _agent(domain, {"execute": "guest-exec", "arguments": arguments})["pid"]
    while True:
        status = _agent(domain, {"execute": "guest-exec-status", "arguments": {"pid": pid}})
        if status["exited"]:
            assert status["exitcode"] == 0
            return base64.b64decode(status.get("out-data", "")).decode()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _shut_down(domain) -> None:
    deadline = time.monotonic() + 240
    domain.shutdown()
    while domain.isActive():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.fixture
def owner(cloud: Cloud):
    """Return the original's domain on the first host; its disk is put back in the end."""
    host = cloud.hosts[0]
    disk = f"/var/lib/libvirt/images/{IMAGE}.qcow2"
    cloud.ssh(host, f"cp --sparse=always --preserve {disk} /root/kept.qcow2")
    domain = cloud.libvirt(host).lookupByName(IMAGE)
    yield domain
    if domain.isActive():
        domain.destroy()
    cloud.ssh(host, f"cp --sparse=always --preserve /root/kept.qcow2 {disk}; rm /root/kept.qcow2")


def test_a_new_version_of_the_original(cloud: Cloud, clone, owner) -> None:
    host = cloud.hosts[0]
    before = clone("old0.example.jp", host=host, state="stopped")
    # Free to be booted at once, although the clone's disk is an overlay.
    owner.create()
    running = cloud.vm("late0.example.jp", image=IMAGE, host=host)
    assert running.status.startswith("FAILED")
    assert IMAGE in running["msg"] and "running" in running["msg"] and host in running["msg"]
    _execute_in_guest(owner, f"echo yes > {MARK} && sync")
    _shut_down(owner)
    # The client worker knows that by the host's next report, some tenths of a second later.
    eventually(
        lambda: cloud.vm("new0.example.jp", "--check", image=IMAGE, host=host).status == "CHANGED",
        240,
    )

    after = clone("new0.example.jp", host=host, wait_for="address")
    assert cloud.in_guest(after["vm"]["interfaces"][0]["addresses"][0], f"cat {MARK}") == "yes"
    started = cloud.vm("old0.example.jp", state="running", wait_for="address")
    address = started["vm"]["interfaces"][0]["addresses"][0]
    assert cloud.in_guest(address, f"test -e {MARK} || echo absent") == "absent"
    assert cloud.in_guest(address, "hostname") == "old0.example.jp"
    assert started["vm"]["uuid"] == before["vm"]["uuid"]
