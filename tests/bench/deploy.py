# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From machines where Debian has just been installed to the first guest; `make bench-deploy`.

On one machine by itself, and on three over SSH: what README says, each step timed. Then the same
again, which may change nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import deploy_figures
from guests import recipes
from guests.recipes import Guest
from support.figures import CHECKOUT, Figure, at_most, reported, table
from support.run import run, step
from testbed import kvm, roots, site
from testbed.layout import Host, layout

BIN = CHECKOUT / "build" / "venv" / "bin"
CACHE = CHECKOUT / "build" / "cache" / "deploy"
STATE = CHECKOUT / "build" / "deploy"
ARCHIVE = "maglica-cloud.tar.gz"
IMAGE, VM = "debian-13", "vm0.example.jp"
GUEST = Guest(13, "ext4")
SUITES = {12: "bookworm", 13: "trixie"}
ALONE = ("-i", "localhost,", "-c", "local")
# How README gets Ansible, and the Python that has it then.
APT = "sudo apt-get -qq update > /dev/null; sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install"
INSTALL = f"ansible-galaxy collection install http://{site.HERE}/{ARCHIVE}"
CONTROL = {
    12: (
        f"""
set -e
{APT} python3-venv > /dev/null
python3 -m venv ~/maglica
. ~/maglica/bin/activate
pip install --quiet "ansible-core>=2.19" pyzmq
{INSTALL}
""",
        "maglica/bin/python",
    ),
    13: (f"set -e; {APT} ansible-core python3-zmq > /dev/null; {INSTALL}", "python3"),
}
ADMIN = """
useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/admin
install -d -m 700 -o admin -g admin ~admin/.ssh
install -m 600 -o admin -g admin ~/.ssh/authorized_keys ~admin/.ssh
"""

# Runs one of ansible-core's commands where the control side is; returns what it printed.
Ansible = Callable[..., str]


@dataclass
class Times:
    """Seconds by step, of one run from bare machines to the first guest."""

    steps: dict[str, float] = field(default_factory=dict)

    def take(self, what: str, do: Callable[[], str]) -> str:
        began = time.monotonic()
        said = do()
        self.steps[what] = time.monotonic() - began
        return said

    @property
    def all(self) -> float:
        return sum(self.steps.values())

    def __str__(self) -> str:
        return ", ".join(f"{what} {seconds:.0f}" for what, seconds in self.steps.items())


def changed(output: str) -> int:
    """Return how many tasks of a playbook's run changed something, none of which failed."""
    recap = re.findall(r"changed=(\d+) .*?failed=(\d+)", output)
    if not recap or any(failed != "0" for _changed, failed in recap):
        raise AssertionError(output)
    return sum(int(count) for count, _failed in recap)


def first_guest(
    what: str, times: Times, ansible: Ansible, deploy: Sequence[str], machines: site.Site
) -> Iterator[Figure]:
    """Deploy, fetch an image, make a guest of it; then deploy again, by check mode too."""

    def packages() -> int:
        listed = "dpkg-query --show --showformat '${Package}\\n'"
        return sum(len(machines.ssh(host, listed).split()) for host in machines.hosts)

    before = packages()
    foreseen = changed(ansible("playbook", *deploy, "--check"))
    assert foreseen, "check mode says that nothing would be made"
    installed = packages() - before
    times.take("deploy", lambda: ansible("playbook", *deploy))

    def task(module: str, words: str) -> str:
        # The client worker is asked, as where Ansible runs without libvirt's binding.
        words = f"{words} source=client_worker"
        return ansible("adhoc", "localhost", "-m", f"maglica.cloud.{module}", "-a", words)

    times.take("image", lambda: task("maglica_image", f"name={IMAGE}"))
    times.take("guest", lambda: task("maglica_vm", f"name={VM} image={IMAGE} wait_for=address"))
    asked = "! type virsh > /dev/null || virsh net-dhcp-leases default"
    leases = [machines.ssh(host, asked) for host in machines.hosts]
    assert sum(" vm0 " in lease for lease in leases) == 1, leases
    load = os.getloadavg()[2]
    how = f"{times}; load {load:.1f}"
    yield reported(f"{what}: seconds to the first guest's lease", times.all, how)
    again = changed(ansible("playbook", *deploy))
    yield at_most(f"{what}: tasks changed by a second run", again, 0, "by the recap")
    checked = changed(ansible("playbook", *deploy, "--check"))
    yield at_most(f"{what}: tasks that check mode would then change", checked, 0, "by the recap")
    how = f"packages that it installed; it names {foreseen} tasks that would change something"
    yield at_most(f"{what}: check mode before the first run", installed, 0, how)


def on_one(machines: site.Site, release: int, images: str) -> Iterator[Figure]:
    """One machine, with Ansible on it: as root on Debian 12, as who has sudo on Debian 13."""
    (host,) = machines.hosts
    user = "root" if release == 12 else "admin"
    if user != "root":
        machines.ssh(host, ADMIN)

    get, python = CONTROL[release]

    def ansible(command: str, *words: str) -> str:
        quoted = " ".join(f"'{word}'" for word in words)
        return machines.ssh(host, f"{python} -m ansible {command} {quoted} 2>&1", user)

    times = Times()
    times.take("Ansible", lambda: machines.ssh(host, get, user))
    deploy = ("maglica.cloud.deploy", *ALONE, "-e", images)
    yield from first_guest(
        f"one machine, Debian {release}, {user}", times, ansible, deploy, machines
    )


def on_three(machines: site.Site, images: str) -> Iterator[Figure]:
    """Three machines over SSH, as in README: one for the client worker, and two hosts."""
    for host in machines.hosts:
        machines.ssh(host, ADMIN)
    inventory = machines.folder / "hosts.yml"
    inventory.write_text(json.dumps(_inventory(machines)))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "MAGLICA_CONFIG": str(machines.folder / "user" / "maglica.conf"),
        "ANSIBLE_NOCOLOR": "1",
    }

    def ansible(command: str, *words: str) -> str:
        # What a failed task says is among all that is printed.
        together = ("sh", "-c", 'exec "$@" 2>&1', "sh")
        line = (*machines.inside, *together, BIN / "python", "-m", "ansible", command, *words)
        return run(*line, env=environment, cwd=CHECKOUT, timeout=1800)

    deploy = ("maglica.cloud.deploy", "-i", str(inventory), "-e", images)
    what = "three machines over SSH, Debian 12, 13, 13, admin"
    yield from first_guest(what, Times(), ansible, deploy, machines)


def _inventory(machines: site.Site) -> dict[str, object]:
    def entry(host: Host) -> dict[str, str]:
        return {"ansible_host": str(host.address)}

    user = machines.folder / "user"
    here = {
        **{"ansible_connection": "local", "ansible_python_interpreter": str(BIN / "python")},
        **{"library_user_dir": str(user), "library_command": str(user / "maglica")},
    }
    groups = {"maglica_client_worker": machines.hosts[:1], "maglica_hosts": machines.hosts[1:]}
    everywhere = {"ansible_user": "admin", "ansible_ssh_common_args": machines.ssh_options}
    return {
        "all": {
            "hosts": {"localhost": here},
            "vars": everywhere,
            "children": {
                group: {"hosts": {host.name: entry(host) for host in hosts}}
                for group, hosts in groups.items()
            },
        }
    }


def offer(folder: Path) -> str:
    """Lay out what the machines fetch: the collection, and the image; return what names that."""
    folder.mkdir(parents=True)
    (built,) = (CHECKOUT / "build").glob("*.tar.gz")
    shutil.copy(built, folder / ARCHIVE)
    disk = recipes.build(GUEST, CACHE)
    os.link(disk, folder / f"{IMAGE}.qcow2")
    with disk.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").hexdigest()
    address = f"http://{site.HERE}/{IMAGE}.qcow2"
    return json.dumps({"library_images": {IMAGE: {"url": address, "checksum": f"sha512:{digest}"}}})


def figures(cases: Sequence[str]) -> Iterator[Figure]:
    prefix = f"md{layout(CHECKOUT, 1).id}-"
    trial = roots.plain_root(CACHE, SUITES[12])
    accelerated = kvm.kvm_works(min((trial / "boot").glob("vmlinuz-*")))
    for case in cases:
        releases = [12, 13, 13] if case == "three" else [int(case)]
        names = ["client", "kvm0", "kvm1"] if case == "three" else ["server"]
        with site.running(STATE, prefix) as machines:
            images = offer(STATE / "offered")
            with site.serving(machines, STATE / "offered"):
                with step(f"Debian on {', '.join(names)}"):
                    machines.start(names, [SUITES[each] for each in releases], CACHE, accelerated)
                if case == "three":
                    yield from on_three(machines, images)
                else:
                    yield from on_one(machines, releases[0], images)


def main(words: list[str]) -> int:
    """Measure all cases, or those that are named (12, 13, three)."""
    found = []
    for figure in figures(words or ["12", "13", "three"]):
        print(table([figure]).splitlines()[-1], flush=True)
        found.append(figure)
    return deploy_figures.record(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
