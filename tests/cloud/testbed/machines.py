# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as systemd-nspawn machines: an overlay of the shared root, systemd as process 1."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from testbed import texts
from testbed.cgroups import make_cgroups
from testbed.layout import IMAGE, Host, Layout
from testbed.run import CloudError, run

_LIBVIRTD_UNITS = tuple(
    f"libvirtd{kind}"
    for kind in (".service", ".socket", "-ro.socket", "-admin.socket", "-tcp.socket")
)

BOOT_DEADLINE = 180.0
"""Seconds for a host to be up: some 10 on an idle machine, far more when all cores are busy."""


def lay_out(cloud: Layout, host: Host, root: Path, image: Path) -> str:
    """Mount the host's file system and write into it what is its own; return its public key."""
    for folder in (host.root, host.upper, host.folder / "work", host.images):
        folder.mkdir(parents=True)
    run(
        *("mount", "-t", "overlay", "overlay", "-o"),
        f"lowerdir={root},upperdir={host.upper},workdir={host.folder / 'work'}",
        host.root,
    )
    _write(host, "etc/hostname", f"{host.name}\n")
    _write(host, "etc/hosts", texts.hosts_file(cloud))
    _write(host, "etc/systemd/network/10-host0.network", texts.host_network(cloud, host))
    key = host.root / "etc/ssh/ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)
    _write(host, "root/.ssh/authorized_keys", (cloud.state / "ssh_key.pub").read_text())
    if host.guests is None:
        for unit in _LIBVIRTD_UNITS:
            (host.root / "etc/systemd/system" / unit).unlink(missing_ok=True)
            (host.root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    else:
        _write(host, "etc/libvirt/qemu/networks/default.xml", texts.guest_network(host))
        _place_image(host, image)
    return key.with_suffix(".pub").read_text()


def _write(host: Host, path: str, text: str) -> None:
    target = host.root / path
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    target.write_text(text)


def _place_image(host: Host, image: Path) -> None:
    suffixes = {"disk.qcow2": "qcow2", "vmlinuz": "vmlinuz", "initrd.img": "initrd"}
    for source, suffix in suffixes.items():
        target = host.images / f"{IMAGE}.{suffix}"
        run("cp", "--reflink=auto", "--sparse=always", image / source, target)


def start(cloud: Layout, host: Host, kvm: bool) -> None:
    """Start the host's machine. It lives on when this program ends."""
    devices = ["/dev/net/tun", *(["/dev/kvm"] if kvm else [])]
    command = [
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
        f"--machine={host.machine}",
        f"--hostname={host.name}",
        f"--directory={host.root}",
        f"--bind={host.images}:{texts.IMAGES}",
        *(f"--bind={device}" for device in devices),
        f"--network-bridge={cloud.bridge}",
        "--capability=all",
        "--system-call-filter=@module @raw-io @mount",
        *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
    ]
    groups = " ".join(map(str, make_cgroups(host.machine)))
    enter = 'for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'
    with host.console.open("ab") as console:
        subprocess.Popen(
            ["sh", "-c", enter, "sh", *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CGROUPS": groups},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait(cloud: Layout, host: Host, deadline: float) -> None:
    """Return once all of the host's services run; CloudError with its journal at `deadline`.

    `deadline` is a value of time.monotonic().
    """
    try:
        _wait_for_ssh(host, deadline)
        left = max(deadline - time.monotonic(), 1)
        ssh(cloud, host.name, "systemctl", "is-system-running", "--wait", timeout=left)
    except (CloudError, TimeoutError) as error:
        raise CloudError(f"host {host.name} did not come up: {error}\n{journal(host)}") from error


def _wait_for_ssh(host: Host, deadline: float) -> None:
    """A new address answers neither with yes nor with no until the host is there: ask again."""
    while True:
        try:
            with socket.create_connection((str(host.address), 22), timeout=1) as connection:
                connection.settimeout(5)
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("nobody answers on its SSH port")
        time.sleep(0.1)


def answers(host: Host) -> bool:
    """Tell whether the host's SSH daemon is there."""
    try:
        _wait_for_ssh(host, time.monotonic() + 5)
    except TimeoutError:
        return False
    return True


def define_image(host: Host, definition: Path) -> None:
    """Define the original image through the host's libvirtd, whose network must have started."""
    uri = f"qemu+tcp://{host.address}/system"
    networks = run("virsh", "-c", uri, "net-list", "--name", timeout=60).split()
    if networks != ["default"]:
        raise CloudError(f"host {host.name}: network default did not start\n{journal(host)}")
    run("virsh", "-c", uri, "define", definition, timeout=60)


def journal(host: Host) -> str:
    """Return the end of what the host said: its journal, or its console if it has none."""
    folder = host.root / "var/log/journal"
    if shutil.which("journalctl") and any(folder.glob("*/*.journal")):
        lines = run("journalctl", "--no-pager", "--quiet", "-n", "40", "-D", folder)
    else:
        lines = host.console.read_text(errors="replace") if host.console.exists() else ""
    return "\n".join(f"  {host.name}| {line}" for line in lines.splitlines()[-40:])


def ssh(cloud: Layout, host: str, *command: str, timeout: float | None = None) -> str:
    """Run a command on a host and return what it printed."""
    return run("ssh", "-F", cloud.state / "ssh_config", host, *command, timeout=timeout)
