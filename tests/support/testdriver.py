# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real libvirtd with libvirt's test driver, on a loopback port and with all files in one folder.

``test:///default`` of one daemon is one node that all its connections share and change; a path
instead of "default" gives each connection a node of its own, as the file there describes.

It runs as ``nobody``, as a session's daemon, so that it has nothing to do with the machine's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from support.ports import free_port

_NOBODY = 65534


class Libvirtd:
    """Where a running libvirtd is."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def uri(self, node: Path | str = "/default") -> str:
        return f"test+tcp://127.0.0.1:{self.port}{node}"

    @property
    def unix_uri(self) -> str:
        return f"test+unix:///default?socket={self.folder}/run/libvirt/libvirt-sock"

    def log(self) -> str:
        return (self.folder / "libvirtd.log").read_text()


@contextlib.contextmanager
def running(
    settings: Mapping[str, str | int] | None = None, **environment: str
) -> Iterator[Libvirtd]:
    """Start a libvirtd with a folder of its own; it and the folder are gone after the block.

    ``settings`` are for libvirtd.conf, beside or instead of those for TCP without authentication.
    """
    # Not below pytest's folder, which is root's alone; and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="maglica-testdriver-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "run").mkdir()
        for path in (folder, folder / "run"):
            os.chown(path, _NOBODY, _NOBODY)
        port = free_port()
        every = {
            "listen_tls": 0,
            "listen_tcp": 1,
            "listen_addr": "127.0.0.1",
            "tcp_port": str(port),
            "auth_tcp": "none",
            "log_outputs": f"3:file:{folder}/libvirtd.log",
            **(settings or {}),
        }
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in every.items())
        (folder / "libvirtd.conf").write_text("".join(lines))
        process = subprocess.Popen(
            ["libvirtd", "--listen", "--config", str(folder / "libvirtd.conf")],
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(folder),
                "XDG_RUNTIME_DIR": str(folder / "run"),
                **environment,
            },
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        libvirtd = Libvirtd(folder, port)
        try:
            for number in (port, int(every.get("tls_port", port))):
                _wait_for(number, libvirtd, process)
            yield libvirtd
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, libvirtd: Libvirtd, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.02)
    raise AssertionError(f"libvirtd does not listen:\n{libvirtd.log()}")


def domain(
    name: str,
    number: int = 0,
    *,
    identity: str | None = None,
    metadata: str = "",
    devices: str = "",
    state: int = 1,
) -> str:
    """Return a domain for a node file; ``state`` is a virDomainState, 5 for off."""
    mac = f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"
    return f"""
<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>{name}</name>
  <uuid>{identity or uuid.uuid4()}</uuid>
  <metadata>{metadata}</metadata>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='{mac}'/>
      <source network='default'/>
    </interface>
    {devices}
  </devices>
  <test:runstate>{state}</test:runstate>
</domain>"""


def node(path: Path, domains: Sequence[str]) -> Path:
    """Write a node with these domains and the network default to a file."""
    path.write_text(
        "<node>"
        + "".join(domains)
        + """
<network>
  <name>default</name>
  <bridge name='virbr0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>
</node>"""
    )
    return path
