# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as systemd-nspawn machines: an overlay of the shared root, systemd as process 1."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from support.run import CloudError, run
from testbed import texts
from testbed.cgroups import make_cgroups
from testbed.layout import TEMPLATE, Host, Layout

_LIBVIRTD_UNITS = tuple(
    f"libvirtd{kind}"
    for kind in (".service", ".socket", "-ro.socket", "-admin.socket", "-tcp.socket")
)

BOOT_DEADLINE = 180.0
"""Seconds for a host to be up: some 10 on an idle machine, far more when all cores are busy."""


def lay_out(cloud: Layout, host: Host, root: Path, template: Path) -> str:
    """Write what is the host's own into its layer; return its public SSH host key."""
    for folder in (host.root, host.upper, host.folder / "work", host.images):
        folder.mkdir(parents=True)
    layer = Layer(host.upper, root)
    layer.write("etc/hostname", f"{host.name}\n")
    layer.write("etc/hosts", texts.hosts_file(cloud))
    layer.write("etc/systemd/network/10-host0.network", texts.host_network(cloud, host))
    layer.write("root/.ssh/authorized_keys", (cloud.state / "ssh_key.pub").read_text())
    key = layer.path("etc/ssh/ssh_host_ed25519_key")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)
    if host.guests is None:
        for unit in _LIBVIRTD_UNITS:
            layer.path(f"etc/systemd/system/{unit}").symlink_to("/dev/null")
        layer.write("etc/systemd/system/offered.service", texts.offering_service())
        wanted = "etc/systemd/system/multi-user.target.wants/offered.service"
        layer.path(wanted).symlink_to("../offered.service")
    else:
        target = host.images / f"{TEMPLATE}.qcow2"
        run("cp", "--reflink=auto", "--sparse=always", template, target)
    return key.with_suffix(".pub").read_text()


class Layer:
    """The upper layer of an overlay, whose folders must look like those that they cover."""

    def __init__(self, upper: Path, lower: Path) -> None:
        self._upper, self._lower = upper, lower

    def path(self, name: str) -> Path:
        """Return the path of the file `name` in the layer, its folder made."""
        for parent in reversed(Path(name).parents):
            folder, covered = self._upper / parent, self._lower / parent
            folder.mkdir(exist_ok=True)
            folder.chmod(covered.stat().st_mode & 0o7777 if covered.exists() else 0o755)
        return self._upper / name

    def write(self, name: str, text: str) -> None:
        self.path(name).write_text(text)


_ENTER = """
set -e
for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done
mount -t overlay overlay -o "$OVERLAY" "$ROOT"
exec "$@"
"""


def start(cloud: Layout, host: Host, root: Path, kvm: bool) -> subprocess.Popen[bytes]:
    """Start the host's machine on the shared `root`; return its container manager.

    It lives on when this program ends.
    """
    read_only = [f"{cloud.offered}:{texts.OFFERED}"] if host == cloud.client else []
    return boot(host, root, bridge=cloud.bridge, kvm=kvm, read_only=read_only)


def boot(
    host: Host,
    root: Path,
    *,
    bridge: str,
    kvm: bool,
    read_only: Sequence[str] = (),
    within: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a machine on `root`, with its network on `bridge`; return its container manager.

    Its file system is mounted in a mount namespace of its own, so it ends with its processes and
    nobody who searches this machine's folders walks into it. `within` is a command that runs
    another one in namespaces which are there already.
    """
    devices = ["/dev/net/tun", *(["/dev/kvm"] if kvm else [])]
    command = [
        *within,
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"),
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
        f"--machine={host.machine}",
        f"--hostname={host.name}",
        f"--directory={host.root}",
        f"--bind={host.images}:{texts.IMAGES}",
        *(f"--bind-ro={what}" for what in read_only),
        *(f"--bind={device}" for device in devices),
        f"--network-bridge={bridge}",
        "--capability=all",
        "--system-call-filter=@module @raw-io @mount",
        *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
    ]
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "CGROUPS": " ".join(map(str, make_cgroups(host.machine))),
        "OVERLAY": f"lowerdir={root},upperdir={host.upper},workdir={host.folder / 'work'}",
        "ROOT": str(host.root),
    }
    with host.console.open("ab") as console:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait(cloud: Layout, host: Host, manager: subprocess.Popen[bytes], deadline: float) -> None:
    """Return once all of the host's services run.

    CloudError with its journal at `deadline`, a value of time.monotonic(), or when its container
    manager ends.
    """
    try:
        while not _ssh_answers(host):
            if manager.poll() is not None:
                raise CloudError(f"systemd-nspawn ended with status {manager.returncode}")
            if time.monotonic() > deadline:
                raise CloudError(f"nobody answers on port 22 of {host.address}")
            # A new address says neither yes nor no until the host is there: ask again.
            time.sleep(0.1)
        left = max(deadline - time.monotonic(), 1)
        ssh(cloud, host.name, "systemctl", "is-system-running", "--wait", timeout=left)
    except CloudError as error:
        raise CloudError(f"host {host.name} did not come up: {error}\n{journal(host)}") from error


def _ssh_answers(host: Host) -> bool:
    try:
        with socket.create_connection((str(host.address), 22), timeout=1) as connection:
            connection.settimeout(5)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def answers(host: Host) -> bool:
    """Tell whether the host's SSH daemon is there, also if it is busy for some seconds."""
    deadline = time.monotonic() + 5
    while not (there := _ssh_answers(host)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return there


def define_template(cloud: Layout, host: Host) -> None:
    """Define the template as somebody who has installed it by hand."""
    definition = (cloud.state / "template.xml").read_text()
    words = ("virsh", "define", "/dev/stdin")
    run("ssh", "-F", cloud.state / "ssh_config", host.name, *words, stdin=definition, timeout=60)


def journal(host: Host) -> str:
    """Return the end of what the host said: its journal, or its console if it has none."""
    folder = host.upper / "var/log/journal"
    if shutil.which("journalctl") and any(folder.glob("*/*.journal")):
        lines = run("journalctl", "--no-pager", "--quiet", "-n", "40", "-D", folder)
    else:
        lines = host.console.read_text(errors="replace") if host.console.exists() else ""
    return "\n".join(f"  {host.name}| {line}" for line in lines.splitlines()[-40:])


def ssh(cloud: Layout, host: str, *command: str, timeout: float | None = None) -> str:
    """Run a command on a host and return what it printed."""
    return run("ssh", "-F", cloud.state / "ssh_config", host, *command, timeout=timeout)
