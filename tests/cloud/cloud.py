# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring up and take down the test cloud of this checkout: real hosts, a real original image."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from guests import recipes
from guests.cases import CLOUD, GUESTS, TEMPLATE
from support.run import (
    CHECKOUT,
    CloudError,
    remove_tree,
    run,
    say,
    step,
)
from testbed import machines, network, offered, remains, roots, texts
from testbed.deployment import deploy
from testbed.kvm import kvm_works
from testbed.layout import Layout, LayoutError, layout

PACKAGES = (
    *("systemd-container", "iproute2", "openssh-client", "qemu-system-x86", "python3-yaml"),
    *recipes.PACKAGES,
)


def main() -> int:
    """Run the command that the arguments name; 0 if all went well."""
    arguments = _arguments()
    try:
        if os.geteuid():
            raise CloudError("it mounts file systems and makes a bridge: run it as root")
        return int(arguments.run(arguments) or 0)
    except (CloudError, LayoutError) as error:
        print(f"cloud.py {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"cloud.py {arguments.command}: interrupted; down removes the rest", file=sys.stderr)
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up_parser = commands.add_parser("up", help="bring the cloud up; a running one is checked")
    up_parser.add_argument(
        "--hosts", type=int, default=2, metavar="N", help="hosts that run guests (default: 2)"
    )
    up_parser.add_argument(
        "--no-image", action="store_true", help="leave it to the user to have the hosts fetch one"
    )
    up_parser.set_defaults(run=up)
    commands.add_parser("down", help="remove the cloud, whatever state it is in").set_defaults(
        run=down
    )
    commands.add_parser("status", help="show what there is of the cloud").set_defaults(run=status)
    ssh_parser = commands.add_parser("ssh", help="open a shell, or run a command, on a host")
    ssh_parser.add_argument("host", metavar="HOST", help="a host's name, such as kvm0.example.jp")
    ssh_parser.add_argument("words", metavar="CMD", nargs=argparse.REMAINDER)
    ssh_parser.set_defaults(run=ssh)
    commands.add_parser("clean", help="down, and remove the cached roots too").set_defaults(
        run=clean
    )
    return parser.parse_args()


def up(arguments: argparse.Namespace) -> None:
    """Bring the cloud up. One that is up is checked only; remains of one are removed first."""
    cloud = _layout(arguments.hosts)
    with _lock():
        if _running(cloud):
            say(f"the cloud is up: {_summary(cloud)}")
        else:
            _make(cloud)
        deploy(cloud)
        _define_templates(cloud)
        if not arguments.no_image:
            offered.add(cloud)
        say(f"ready: {_summary(cloud)}")


def _make(cloud: Layout) -> None:
    run(CHECKOUT / "tests/tools/debian-packages", *PACKAGES)
    if remains.remains(cloud) or cloud.state.exists():
        with step("removing the remains of an earlier cloud"):
            remains.remove(cloud)
    _make_key(cloud)
    with ThreadPoolExecutor() as pool:
        host_job = pool.submit(_host_root, cloud)
        guest_job = pool.submit(_guests, cloud)
    root, (disk, template) = host_job.result(), guest_job.result()
    roots.forget_older(cloud.cache, (root,))
    recipes.forget_older(cloud.guests, GUESTS)
    virt_type = "kvm" if kvm_works(next((root / "boot").glob("vmlinuz-*"))) else "qemu"
    say(f"guests run on {'KVM' if virt_type == 'kvm' else 'TCG: KVM does not work here'}")
    with step(f"starting {', '.join(host.name for host in cloud.hosts)}"):
        network.make_bridge(cloud)
        offered.lay_out(cloud, disk)
        keys = {host.name: machines.lay_out(cloud, host, root, template) for host in cloud.hosts}
        _write_access(cloud, keys)
        (cloud.state / "template.xml").write_text(texts.template_domain(virt_type))
        managers = []
        for host in cloud.hosts:
            managers.append(machines.start(cloud, host, root, virt_type == "kvm"))
            network.route_guests(cloud, host)
        deadline = time.monotonic() + machines.BOOT_DEADLINE
        with ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(machines.wait, cloud, host, manager, deadline)
                for host, manager in zip(cloud.hosts, managers)
            ]
        for job in jobs:
            job.result()
    # Written last: a cloud that has it is complete.
    (cloud.state / "cloud.json").write_text(texts.description(cloud, virt_type, root))


def _make_key(cloud: Layout) -> None:
    """Keep one key for all clouds of the checkout."""
    cloud.state.mkdir(parents=True)
    cloud.cache.mkdir(parents=True, exist_ok=True)
    kept = cloud.cache / "ssh_key"
    if not kept.with_suffix(".pub").exists():
        kept.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "maglica-testbed", "-f", kept)
    run("cp", "--preserve=mode", kept, kept.with_suffix(".pub"), cloud.state)


def _host_root(cloud: Layout) -> Path:
    with step("root of the hosts"):
        return roots.host_root(cloud.cache)


def _guests(cloud: Layout) -> list[Path]:
    with step("disks of the original images"):
        return [recipes.build(guest, cloud.guests) for guest in (CLOUD, TEMPLATE)]


def _write_access(cloud: Layout, host_keys: dict[str, str]) -> None:
    (cloud.state / "known_hosts").write_text(texts.known_hosts(host_keys))
    (cloud.state / "ssh_config").write_text(texts.ssh_config(cloud))
    (cloud.state / "hosts.yml").write_text(texts.deploying_inventory(cloud))
    (cloud.state / "maglica.yml").write_text(texts.users_inventory(cloud))


def _define_templates(cloud: Layout) -> None:
    """Have an image on each host that somebody has installed by hand: libvirt is there now."""
    mark = cloud.state / "defined"
    if not mark.exists():
        for host in cloud.kvm:
            machines.define_template(cloud, host)
        mark.touch()


def down(_arguments: argparse.Namespace) -> None:
    """Remove all of the cloud but the cache."""
    with _lock(), step("taking the cloud down"):
        remains.remove(_layout(1))


def clean(arguments: argparse.Namespace) -> None:
    """Remove the cloud and the cache."""
    down(arguments)
    with _lock(), step("removing the cached roots"):
        remove_tree(_layout(1).cache)
        remove_tree(_layout(1).guests)


def status(_arguments: argparse.Namespace) -> int:
    """Print what there is of the cloud; 0 if it is complete and all hosts are up."""
    known = _described()
    cloud = _layout(len(known["hosts"]) if known else 1)
    if known and _running(cloud):
        print(f"up: {_summary(cloud)}")
        return 0
    left = remains.remains(cloud)
    print("\n".join(["incomplete; `cloud.py down` removes:", *left]) if left else "down")
    return 1


def ssh(arguments: argparse.Namespace) -> None:
    """Become ssh to a host."""
    config = str(_layout(1).state / "ssh_config")
    command = ["ssh", "-F", config, arguments.host, *arguments.words]
    os.execvp("ssh", command)  # noqa: S606


def _running(cloud: Layout) -> bool:
    """Tell whether the cloud is complete and all of its hosts answer."""
    known = _described()
    if known is None or not all(machines.answers(host) for host in cloud.hosts[:2]):
        return False
    names = [host["name"] for host in known["hosts"]]
    if names != [host.name for host in cloud.kvm]:
        raise CloudError(
            f"a cloud with {len(names)} hosts for guests is up, not {len(cloud.kvm)}: "
            f"take it down first"
        )
    return all(machines.answers(host) for host in cloud.hosts)


def _described() -> dict[str, Any] | None:
    file = CHECKOUT / "build/cloud/cloud.json"
    return json.loads(file.read_text()) if file.exists() else None


def _summary(cloud: Layout) -> str:
    return ", ".join(f"{host.name} {host.address}" for host in cloud.hosts)


def _layout(kvm_hosts: int) -> Layout:
    return layout(CHECKOUT, kvm_hosts, os.environ.get("MAGLICA_CLOUD_NETWORK"))


@contextmanager
def _lock() -> Iterator[None]:
    """Keep a second cloud.py of this checkout away. The kernel frees the lock at any death."""
    (CHECKOUT / "build").mkdir(exist_ok=True)
    with (CHECKOUT / "build/cloud.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CloudError("another cloud.py of this checkout is at work") from error
        yield


if __name__ == "__main__":
    sys.exit(main())
