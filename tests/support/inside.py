# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest says of itself when it is asked from inside."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import libvirt
import libvirt_qemu

# For a guest without KVM to start, beside another one.
SECONDS = 600.0
# Runs in the guest. Addresses that a router's advertisements or the kernel give come and go.
_LOOK = r"""
import json, os, subprocess

def said(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()

def lines(path):
    return open(path).read().splitlines() if os.path.exists(path) else []

running = said("systemctl", "is-system-running", "--wait")
addresses = {
    link["address"]: sorted(
        "%s/%d" % (each["local"], each["prefixlen"])
        for each in link["addr_info"]
        if each["scope"] == "global" and not (each["family"] == "inet6" and each.get("dynamic"))
    )
    for link in json.loads(said("ip", "-j", "addr"))
    if link["ifname"] != "lo"
}
gateways = [
    route.get("gateway")
    for family in ("-4", "-6")
    for route in json.loads(said("ip", "-j", family, "route", "show", "default") or "[]")
]
resolver = "/run/systemd/resolve/resolv.conf"
resolver = resolver if os.path.exists(resolver) else "/etc/resolv.conf"
disk = os.statvfs("/")
print(json.dumps({
    "user": said("id", "-un"),
    "sudo": said("sudo", "-n", "id", "-un"),
    "hostname": said("hostname"),
    "fqdn": said("hostname", "-f"),
    "machine_id": said("cat", "/etc/machine-id"),
    "addresses": addresses,
    "gateways": gateways,
    "resolver": [line for line in lines(resolver) if line and not line.startswith("#")],
    "running": running,
    "failed": said("systemctl", "--failed", "--plain", "--no-legend"),
    "root_bytes": disk.f_blocks * disk.f_frsize,
    "cloud_init": said("cloud-init", "status").partition("status: ")[2],
    "host_keys": sorted(
        " ".join(line.split()[:2])
        for name in os.listdir("/etc/ssh")
        if name.startswith("ssh_host_") and name.endswith(".pub")
        for line in lines("/etc/ssh/" + name)
        if line
    ),
    "boot": said("cat", "/proc/sys/kernel/random/boot_id"),
}))
"""


class Door(Protocol):
    """How a guest is entered."""

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the guest; 255 if it can't be entered."""


@dataclass(frozen=True)
class Ssh:
    """The command of ssh, with all options and the user at the address."""

    command: tuple[str, ...]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the guest; 255 if it can't be entered."""
        return subprocess.run(
            [*self.command, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


@dataclass(frozen=True)
class Agent:
    """QEMU's guest agent of a domain."""

    domain: libvirt.virDomain

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, as root; 255 if it can't be entered."""
        asked = {"path": words[0], "arg": words[1:], "capture-output": True}
        asked["input-data"] = base64.b64encode(stdin.encode()).decode()
        deadline = time.monotonic() + SECONDS
        try:
            pid = self._ask("guest-exec", asked)["pid"]
            while not (status := self._ask("guest-exec-status", {"pid": pid}))["exited"]:
                assert time.monotonic() < deadline, words
                time.sleep(0.5)
        except libvirt.libvirtError as error:
            return subprocess.CompletedProcess(words, 255, "", str(error))
        out, err = (
            base64.b64decode(status.get(f"{name}-data", "")).decode() for name in ("out", "err")
        )
        return subprocess.CompletedProcess(words, status.get("exitcode", 255), out, err)

    def _ask(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        said = json.dumps({"execute": command, "arguments": arguments})
        answer = libvirt_qemu.qemuAgentCommand(self.domain, said, 30, 0)
        returned: dict[str, Any] = json.loads(answer)["return"]
        return returned


def look(door: Door, not_boot: str | None = None) -> dict[str, Any]:
    """Ask a guest as soon as it lets us in, in a boot that is not `not_boot`."""
    deadline = time.monotonic() + SECONDS
    while True:
        entered = door.run("cat", "/proc/sys/kernel/random/boot_id")
        if entered.returncode == 0 and entered.stdout.strip() != not_boot:
            break
        # A host key that is not the announced one is no matter of time.
        assert "Host key verification failed" not in entered.stderr, entered.stderr
        assert time.monotonic() < deadline, entered.stderr or entered.stdout
        time.sleep(0.5)
    done = door.run("python3", "-", stdin=_LOOK)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def reboot(door: Door) -> None:
    """Have the guest start anew, which cuts us off."""
    door.run("sudo", "-n", "systemctl", "reboot")


def known_hosts(name: str, keys: Sequence[str]) -> str:
    """Return the file known_hosts(5) that takes these public keys for `name`."""
    return "".join(f"{name} {' '.join(key.split()[:2])}\n" for key in keys)
