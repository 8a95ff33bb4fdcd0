# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest says of itself when it is asked from inside."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import libvirt
import libvirt_qemu

# For a guest without KVM to start, beside another one.
SECONDS = 600.0
# Runs in the guest. What a router's advertisements or the kernel give comes and goes.
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
    if route.get("protocol") not in ("ra", "kernel")
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
    "gateways": sorted(map(str, gateways)),
    "resolver": sorted(
        line for line in lines(resolver) if line[:1].isalpha() and "fe80" not in line
    ),
    "running": running,
    "failed": said("systemctl", "--failed", "--plain", "--no-legend"),
    "root_bytes": disk.f_blocks * disk.f_frsize,
    "cloud_init": said("cloud-init", "status").partition("status: ")[2],
    # cloud-init 22.4 lets nobody but root read them.
    "host_keys": sorted(
        " ".join(line.split()[:2])
        for line in said("sudo", "-n", "sh", "-c", "cat /etc/ssh/ssh_host_*.pub").splitlines()
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


def by_ssh(state: Path, folder: Path, vm: dict[str, Any], target: str, by: str = "") -> Ssh:
    """Return the way into a vm of the test cloud whose folder is `state`, as USER@ADDRESS.

    Only the SSH host keys that were announced are taken; `folder` is for a file with them. `by` is
    a host of the cloud to go through.
    """
    known = folder / f"{vm['name']}.known_hosts"
    keys = (" ".join(key.split()[:2]) for key in vm["ssh_host_keys"])
    known.write_text("".join(f"{vm['name']} {key}\n" for key in keys))
    options = {
        "UserKnownHostsFile": known,
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": vm["name"],
        "IdentityFile": state / "ssh_key",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": 20,
    }
    if by:
        # ssh ends it by SIGHUP; left over, where nohup has that ignored, it would hold our pipes.
        proxy = f"ssh -F {state}/ssh_config -W %h:%p {by}"
        options["ProxyCommand"] = f"env --default-signal=HUP {proxy}"
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return Ssh(("ssh", "-F", "none", *words, target))
