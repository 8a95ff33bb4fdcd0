# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of this machine who is not root, deploys the test cloud and uses it.

It is an account that every Debian has. Since it may enter neither the checkout nor a test's folder,
its commands run in a mount namespace that has both in another place.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.cloud import CHECKOUT, STATE, Cloud

ADMIN = "admin"
"""The account on the hosts, which may become root with sudo."""
_CHECKOUT, _HOME = "/mnt/checkout", "/mnt/home"
_ENTER = f"""
set -e
mount -t tmpfs tmpfs /mnt
mkdir {_CHECKOUT} {_HOME}
mount --bind "$1" {_CHECKOUT}
mount --bind "$2" {_HOME}
cd {_HOME}
shift 2
exec "$@"
"""
_MAKE_ADMIN = f"""
set -e
id {ADMIN} > /dev/null 2>&1 || useradd --create-home --shell /bin/bash {ADMIN}
echo '{ADMIN} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{ADMIN}
install -d -m 700 -o {ADMIN} -g {ADMIN} ~{ADMIN}/.ssh
cat > ~{ADMIN}/.ssh/authorized_keys
chown {ADMIN}: ~{ADMIN}/.ssh/authorized_keys
"""
_REMOVE_ADMIN = (
    f"rm -f /etc/sudoers.d/{ADMIN}; userdel --force --remove {ADMIN} 2> /dev/null || true"
)


class PlainUser:
    """The account ``name`` with the home ``home``, a folder of the test that it comes to own."""

    def __init__(self, cloud: Cloud, name: str, home: Path) -> None:
        self.cloud, self.name, self.home = cloud, name, home
        self._account = pwd.getpwnam(name)
        # Ansible goes by the account, not by $HOME.
        self._tmp = Path(f"/tmp/ansible-{name}")
        (home / "bin").mkdir()
        key = home / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.public_key = key.with_suffix(".pub").read_text()
        (home / "known_hosts").write_text(_by_address(cloud))
        # As somebody has it in ~/.ssh/config; the account's own home is none.
        wrapper = home / "bin" / "ssh"
        options = (
            f"-i {_HOME}/key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes"
            f" -o UserKnownHostsFile={_HOME}/known_hosts"
        )
        wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F /dev/null {options} "$@"\n')
        wrapper.chmod(0o755)
        (home / "maglica.yml").write_text("plugin: maglica.cloud.maglica\n")
        self.inventory()
        for path in (home, *home.rglob("*")):
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def inventory(self, **variables: Any) -> None:
        """Write hosts.yml anew, with ``variables`` for all."""
        groups = {
            "maglica_client_worker": [self.cloud.description["client"]],
            "maglica_hosts": self.cloud.description["hosts"],
        }
        children = {
            group: {"hosts": {host["name"]: {"ansible_host": host["address"]} for host in hosts}}
            for group, hosts in groups.items()
        }
        known = {"ansible_user": ADMIN, "libvirtd_users": [ADMIN], **variables}
        text = json.dumps({"all": {"vars": known, "children": children}})
        (self.home / "hosts.yml").write_text(text)

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command as this user; return its status, and all that it printed."""
        done = subprocess.run(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *("sh", "-c", _ENTER, "sh", str(CHECKOUT), str(self.home)),
                *("setpriv", f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}"),
                *("--clear-groups", "env", "-i", *self._environment(), *command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        return done.returncode, done.stdout

    def ansible(self, command: str, *arguments: str) -> tuple[int, str]:
        """Run one of ansible-core's commands: ``playbook``, ``inventory``, or ``adhoc``."""
        return self.run(f"{_CHECKOUT}/build/venv/bin/python", "-m", "ansible", command, *arguments)

    def deploy(self, *options: str) -> tuple[int, str]:
        return self.ansible("playbook", "-i", "hosts.yml", "maglica.cloud.deploy", *options)

    def made(self) -> dict[str, tuple[str, int]]:
        """Return owner and mode of what deploying has made for this user."""
        found = [self.home / ".local/bin/maglica", *(self.home / ".config/maglica").rglob("*")]
        return {
            str(path.relative_to(self.home)): (path.owner(), path.stat().st_mode & 0o777)
            for path in found
            if path.exists()
        }

    def forget(self) -> None:
        """Remove what deploying has made, here and on the client worker's machine."""
        for folder in (self.home / ".config", self.home / ".local", self._tmp):
            shutil.rmtree(folder, ignore_errors=True)
        access = "/etc/maglica/access"
        remove = f"rm -f {access}.d/client-{self.name}@* && cat {access}.d/* > {access}"
        self.cloud.ssh(self.cloud.client, remove)

    def _environment(self) -> Iterable[str]:
        yield f"HOME={_HOME}"
        yield f"PATH={_HOME}/bin:{_CHECKOUT}/build/venv/bin:/usr/bin:/bin"
        yield f"ANSIBLE_COLLECTIONS_PATH={_CHECKOUT}/.collections"
        yield f"ANSIBLE_REMOTE_TEMP={self._tmp}"
        yield "ANSIBLE_NOCOLOR=1"
        yield "LC_ALL=C.UTF-8"


def make_admin(cloud: Cloud, public_keys: str) -> None:
    """Make the account on all machines of the cloud, which ``public_keys`` may log in to."""
    for machine in (cloud.client, *cloud.hosts):
        cloud.ssh(machine, f"cat << 'END' | (\n{public_keys}END\n{_MAKE_ADMIN})")


def remove_admin(cloud: Cloud) -> None:
    for machine in (cloud.client, *cloud.hosts):
        cloud.ssh(machine, _REMOVE_ADMIN)


def _by_address(cloud: Cloud) -> str:
    machines = [cloud.description["client"], *cloud.description["hosts"]]
    addresses = {machine["name"]: machine["address"] for machine in machines}
    lines = (STATE / "known_hosts").read_text().splitlines()
    known = [line.partition(" ") for line in lines]
    return "".join(f"{name},{addresses[name]} {key}\n" for name, _space, key in known)
