# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real libvirtd with libvirt's test driver, on a loopback port and with all files in one folder.

``test:///default`` of one daemon is one node that all its connections share and change; a path
instead of "default" gives each connection a node of its own, as the file there describes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAM = "/usr/sbin/libvirtd"
_CONFIG = """
listen_tls = 0
listen_tcp = 1
listen_addr = "127.0.0.1"
tcp_port = "{port}"
auth_tcp = "{auth}"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_dir = "{folder}"
log_outputs = "3:file:{folder}/libvirtd.log"
"""


class Libvirtd:
    """Where a running libvirtd is."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def uri(self, node: Path | str = "/default") -> str:
        return f"test+tcp://127.0.0.1:{self.port}{node}"

    @property
    def unix_uri(self) -> str:
        return f"test+unix:///default?socket={self.folder}/libvirt-sock"

    def log(self) -> str:
        return (self.folder / "libvirtd.log").read_text()


@contextlib.contextmanager
def running(folder: Path, auth: str = "none", **environment: str) -> Iterator[Libvirtd]:
    """Start a libvirtd that keeps its files in ``folder``, and end it at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "libvirtd.conf"
    config.write_text(_CONFIG.format(port=port, auth=auth, folder=folder))
    private = {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
    }
    process = subprocess.Popen(
        [PROGRAM, "--listen", "--config", str(config), "--pid-file", str(folder / "pid")],
        env={**os.environ, **private, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield Libvirtd(folder, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"libvirtd ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise AssertionError("libvirtd does not listen")


def domain(
    name: str, number: int = 0, *, identity: str | None = None, metadata: str = "", state: int = 1
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
