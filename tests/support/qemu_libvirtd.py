# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd of a test's own that runs QEMU: all that it has lies in one folder.

It runs as root in a mount namespace, where that folder stands in the places of libvirt's own.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import libvirt

_PLACES = {
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "etc": "/etc/libvirt",
}
_UNSHARED = ("unshare", "--mount", "--propagation", "slave", "sh", "-c")
_QEMU_CONF = """\
cgroup_controllers = []
security_driver = "none"
namespaces = []
remember_owner = 0
user = "root"
group = "root"
stdio_handler = "file"
"""


def definition(
    name: str,
    disks: Mapping[str, tuple[str, Path]],
    *,
    memory_mib: int = 64,
    identity: str = "",
    devices: str = "",
) -> str:
    """Return a domain with disks, by target their formats and paths.

    ``identity`` is what stands beside its name, such as a UUID, ``devices`` beside its disks.
    """
    drives = "".join(
        f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='{kind}'/>
      <source file='{path}'/>
      <target dev='{target}' bus='virtio'/>
    </disk>"""
        for target, (kind, path) in disks.items()
    )
    return f"""
<domain type='qemu'>
  <name>{name}</name>
  {identity}
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{drives}
    {devices}
  </devices>
</domain>
"""


@contextmanager
def running(folder: Path, seconds: float = 30, within: Sequence[str] = ()) -> Iterator[str]:
    """Run a libvirtd with all it has in ``folder``, a short absolute path; yield the URI to open.

    At the end its domains are destroyed and it is ended. File systems that are mounted on the
    machine meanwhile are seen by it. ``within`` is a command that runs another one where it is to
    be, as in a network namespace.
    """
    for name in _PLACES:
        (folder / name).mkdir(parents=True)
    (folder / "etc/libvirtd.conf").write_text('auth_unix_rw = "none"\nlog_outputs = "3:stderr"\n')
    (folder / "etc/qemu.conf").write_text(_QEMU_CONF)
    steps = [f"mkdir -p {place}" for place in _PLACES.values()]
    steps += [f"mount --bind {folder / name} {place}" for name, place in _PLACES.items()]
    steps.append(f"exec libvirtd -p {folder}/pid")
    uri = f"qemu+unix:///system?socket={folder}/run/libvirt-sock"
    with (folder / "libvirtd.log").open("w") as log:
        process = subprocess.Popen(
            [*within, *_UNSHARED, " && ".join(steps)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(uri, process, folder / "libvirtd.log", seconds)
        try:
            yield uri
        finally:
            _destroy_all(uri)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(uri: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            libvirt.open(uri).close()
            return
        except libvirt.libvirtError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"libvirtd does not serve: {log.read_text()}") from None
            time.sleep(0.1)


def _destroy_all(uri: str) -> None:
    connection = libvirt.open(uri)
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
    connection.close()
