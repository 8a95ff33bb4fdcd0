# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on which Debian has just been installed, on a network of their own that leads out.

This machine is on that network only by what it runs there: `Site.inside`.
"""

from __future__ import annotations

import ipaddress
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.run import CloudError, remove_tree, run
from testbed import machines, packages, roots
from testbed.cgroups import remove_cgroups
from testbed.layout import DOMAIN, Host
from testbed.namespaces import entered, inner, networked
from testbed.remains import remove_propagated

NETWORK = ipaddress.IPv4Network("10.0.2.0/24")
"""slirp's own: it answers as .2, and to questions for names as .3."""
HERE = NETWORK[15]
"""This machine's address there, and that of whatever it serves."""
_FIRST = 20
_BRIDGE = "br0"
_ENTER = f"""
set -e
ip link set lo up
echo ready
read -r _attached
ip link add {_BRIDGE} type bridge
ip link set tap0 master {_BRIDGE}
ip link set tap0 up
ip address add {HERE}/24 dev {_BRIDGE}
ip link set {_BRIDGE} up
ip route add default via {NETWORK[2]}
echo ready
exec cat
"""


@dataclass
class Site:
    """The machines; all of them end with the program."""

    folder: Path
    prefix: str
    """What the machines and their control groups are called on this machine, with a number."""
    pid: int
    key: Path
    hosts: list[Host] = field(default_factory=list)

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command of this machine on the site's network."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net", "--")

    @property
    def ssh_options(self) -> str:
        return (
            f"-F /dev/null -i {self.key} -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR "
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5"
        )

    def start(self, names: Sequence[str], suites: Sequence[str], cache: Path, kvm: bool) -> None:
        """Start a machine for each name, and wait until all of them are up."""
        within = ("nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--")
        for number, (name, suite) in enumerate(zip(names, suites)):
            root = roots.plain_root(cache, suite)
            host = Host(
                f"{name}.{DOMAIN}",
                f"{self.prefix}{number}",
                NETWORK[_FIRST + number],
                self.folder / name,
            )
            self.hosts.append(host)
            folders = list(map(str, self._lay_out(host, root, suite)))
            machines.boot(host, root, bridge=_BRIDGE, kvm=kvm, read_only=folders, within=within)
        deadline = time.monotonic() + machines.BOOT_DEADLINE
        for host in self.hosts:
            self._wait(host, deadline)

    def _lay_out(self, host: Host, root: Path, suite: str) -> list[Path]:
        for folder in (host.root, host.upper, host.folder / "work", host.images):
            folder.mkdir(parents=True)
        folders = packages.give(host.upper, suite)
        layer = machines.Layer(host.upper, root)
        variables = packages.variables().items()
        network = ("[Match]", "Name=host0", "[Network]", f"Address={host.address}/24")
        short = host.name.partition(".")[0]
        files = {
            "etc/hostname": f"{host.name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {host.name} {short}\n",
            "etc/resolv.conf": f"nameserver {NETWORK[3]}\n",
            "etc/environment": "".join(f"{name}={value}\n" for name, value in variables),
            "etc/systemd/network/10-host0.network": "\n".join(
                [*network, f"Gateway={NETWORK[2]}", "LinkLocalAddressing=no", "IPv6AcceptRA=no", ""]
            ),
            "root/.ssh/authorized_keys": self.key.with_suffix(".pub").read_text(),
        }
        for path, text in files.items():
            layer.write(path, text)
        for folder in (host.upper / "root", host.upper / "root/.ssh"):
            folder.chmod(0o700)
        key = layer.path("etc/ssh/ssh_host_ed25519_key")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)
        return folders

    def _wait(self, host: Host, deadline: float) -> None:
        while True:
            try:
                self.ssh(host, "systemctl is-system-running --wait", timeout=60)
            except CloudError as error:
                if time.monotonic() > deadline:
                    said = host.console.read_text(errors="replace")[-2000:]
                    raise CloudError(f"{host.name} did not come up: {error}\n{said}") from error
                # Nobody answers on port 22 yet.
                time.sleep(0.2)
            else:
                return

    def ssh(self, host: Host, command: str, user: str = "root", timeout: float = 1800) -> str:
        """Run a shell command on a machine; return what it printed."""
        words = ("ssh", *self.ssh_options.split(), f"{user}@{host.address}", command)
        return run(*self.inside, *words, timeout=timeout)


@contextmanager
def running(folder: Path, prefix: str) -> Iterator[Site]:
    """Have a site without machines for the block; nothing of it is left, nor of an earlier one."""
    _clean(folder, prefix)
    folder.mkdir(parents=True)
    key = folder / "ssh_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "site", "-f", key)
    try:
        with entered(_ENTER, env={}) as process, networked(process):
            assert process.stdout is not None
            said = process.stdout.readline()
            if said != b"ready\n":
                raise CloudError(f"the site has no network: {said.decode(errors='replace')}")
            yield Site(folder, prefix, inner(process), key)
    finally:
        _clean(folder, prefix)


def _clean(folder: Path, prefix: str) -> None:
    remove_cgroups(prefix)
    remove_propagated(prefix)
    remove_tree(folder)


@contextmanager
def serving(site: Site, folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP on the site's network during the block; return its address."""
    command = (*site.inside, "setpriv", "--pdeathsig", "KILL", "python3", "-m", "http.server")
    server = subprocess.Popen(
        [*command, "--bind", str(HERE), "--directory", str(folder), "80"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://{HERE}"
    finally:
        server.kill()
        server.wait()
