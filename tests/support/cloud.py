# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running test cloud, as the tests of tests/cloud use it: like a user would, from outside."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import libvirt
from maglica.config import config
from maglica.wire.client import Client
from support import listing

CHECKOUT = Path(__file__).resolve().parents[2]
STATE = CHECKOUT / "build/cloud"
BIN = CHECKOUT / "build/venv/bin"
# That of the test cloud which somebody has installed by hand, and the one that its hosts fetch.
IMAGE = "debian12.original"
FETCHED = "debian-12"


@dataclass(frozen=True)
class Result:
    """What one ad hoc module run said: ``status`` (SUCCESS, CHANGED, FAILED!) and its values."""

    status: str
    values: dict
    output: str

    def __getitem__(self, key: str):
        return self.values[key]


class Cloud:
    """The cloud that `make cloud` of this checkout brought up."""

    def __init__(self, description: dict) -> None:
        self.description = description
        self.hosts = [host["name"] for host in description["hosts"]]
        self.client = description["client"]["name"]
        self.uris = {host["name"]: host["uri"] for host in description["hosts"]}
        self._connections: dict[str, libvirt.virConnect] = {}

    @classmethod
    def load(cls) -> Cloud:
        """Return the running cloud; without one there is nothing to test, which is an error."""
        return cls(json.loads((STATE / "cloud.json").read_text()))

    @cached_property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        return kept | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "MAGLICA_CONFIG": str(STATE / "maglica.conf"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        }

    def run(self, *command: str, check: bool = True, timeout: float = 900) -> str:
        """Run a command in the checkout as a user would; return its standard output."""
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            said = f"{done.stdout}\n{done.stderr}"
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
        return done.stdout

    def module(self, module: str, *options: str, timeout: float = 900, **arguments) -> Result:
        """Run a module ad hoc; ``options`` go to the command ansible (such as --check, --diff)."""
        command = ["ansible", "localhost", "-m", module, "-a", json.dumps(arguments), *options]
        output = self.run(*command, check=False, timeout=timeout)
        head, found, values = output[output.index("localhost | ") :].partition(" => ")
        assert found, output
        return Result(head.split(" | ")[1], json.JSONDecoder().raw_decode(values)[0], output)

    def vm(self, name: str, *options: str, **arguments) -> Result:
        """Run maglica_vm for the vm ``name``; a new one's root can be logged in to by ssh."""
        if "image" in arguments:
            arguments.setdefault("ssh_authorized_keys", [self.public_key])
        return self.module("maglica_vm", *options, name=name, **arguments)

    @cached_property
    def public_key(self) -> str:
        """The public half of the key that the cloud's ssh_config names."""
        return (STATE / "ssh_key.pub").read_text().strip()

    def inventory(self) -> dict:
        """Return what ansible-inventory --list prints."""
        output = self.run("ansible-inventory", "--list")
        return listing.loads(output[output.index("{") :])

    def listed(self, inventory: Path) -> dict:
        """Return the variables by host of what an inventory file lists."""
        output = self.run("ansible-inventory", "-i", str(inventory), "--list")
        return listing.loads(output[output.index("{") :])["_meta"]["hostvars"]

    def in_guest(self, address: str, command: str) -> str:
        """Run a shell command in a guest, as soon as it has booted as far as its sshd."""
        deadline = time.monotonic() + 240
        while True:
            try:
                socket.create_connection((address, 22), timeout=10).close()
                return self.ssh(address, command)
            except OSError:
                assert time.monotonic() < deadline, f"no sshd at {address}"
                time.sleep(0.5)

    def ssh(self, target: str, command: str, check: bool = True) -> str:
        """Run a shell command on a host (by name) or a guest (by address)."""
        return self.run(
            "ssh", "-F", str(STATE / "ssh_config"), target, command, check=check
        ).strip()

    def libvirt(self, host: str) -> libvirt.virConnect:
        """Return a connection to a host's libvirtd, kept for the next call."""
        # Who takes a certificate back ends all connections, and isAlive() learns it by a call only.
        with contextlib.suppress(KeyError, libvirt.libvirtError):
            self._connections[host].getLibVersion()
            return self._connections[host]
        self._connections[host] = libvirt.open(self.uris[host])
        return self._connections[host]

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def domains(self, host: str) -> set[str]:
        return {domain.name() for domain in self.libvirt(host).listAllDomains()}

    def volumes(self, host: str) -> set[str]:
        """Return the names of all files in the folder of a host's default pool."""
        return set(self.ssh(host, "ls /var/lib/libvirt/images").split())

    def lease(self, host: str, name: str) -> dict | None:
        """Return the DHCP lease that bears the host name ``name``, if there is one.

        dnsmasq keeps the first label of what the guest sent: libvirt's network has no domain.
        """
        label = name.partition(".")[0]
        found = self.leases(host).values()
        return next((lease for lease in found if lease["hostname"] == label), None)

    def leases(self, host: str) -> dict[str, dict]:
        """Return the DHCP leases by MAC address, also those of vms that have gone since."""
        leases = self.libvirt(host).networkLookupByName("default").DHCPLeases()
        return {lease["mac"]: lease for lease in leases}

    def image_digest(self, host: str) -> str:
        """Return the SHA-256 of the original image's disk."""
        return self.ssh(host, f"sha256sum /var/lib/libvirt/images/{IMAGE}.qcow2").split()[0]

    def macs(self, host: str, name: str) -> list[str]:
        xml = self.libvirt(host).lookupByName(name).XMLDesc()
        return [node.get("address", "") for node in ET.fromstring(xml).iter("mac")]

    def wait_alive(self, host: str, alive: bool, is_sound: bool = False) -> None:
        """Wait until the client worker counts a host as alive (and without problem), or as down."""
        deadline = time.monotonic() + 240
        with Client(config.load(str(STATE / "maglica.conf"))) as client:
            while not any(
                known.alive is alive and not (is_sound and known.report.problem)
                for known in client.hosts()
                if known.host == host
            ):
                assert time.monotonic() < deadline, f"{host} is still not {alive=}"
                time.sleep(0.5)
