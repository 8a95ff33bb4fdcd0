# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd that a test may kill, freeze and start again, with libvirt's test driver behind it.

It runs as ``nobody``, as a session's daemon whose whole world is one folder, so that it has nothing
to do with the machine's own libvirtd.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import libvirt
from support.reports import IMAGE

PATIENCE = 60.0
NOBODY = 65534
IMAGE_UUID = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
DOMAIN = """
<domain type='test'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{metadata}</metadata>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='i686'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <source file='/images/{name}.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'><source network='default'/></interface>
    <graphics type='vnc' port='5907' listen='127.0.0.1' passwd='secret'/>
    <serial type='file'><source path='/logs/{name}'/></serial>
  </devices>
</domain>
"""
MADE = (
    "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='debian12.original'"
    " request='r' created='1' who='alice' clone_mode='linked'/>"
)


class OwnLibvirtd:
    """The daemon; ``uri`` connects to its test driver. Ends with ``close``."""

    def __init__(self) -> None:
        # Not below pytest's folder, which is root's alone; and a socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="maglica-libvirtd-"))
        for name in ("home", "run"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, NOBODY, NOBODY)
        self.folder.chmod(0o755)
        self.socket = self.folder / "run" / "libvirt" / "libvirt-sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: libvirt.virConnect | None = None

    @property
    def uri(self) -> str:
        return f"test+unix:///default?socket={self.socket}"

    @property
    def qemu_uri(self) -> str:
        """Connects to real QEMU guests of nobody's session."""
        return f"qemu+unix:///session?socket={self.socket}"

    def start(self) -> None:
        """Start it, wait until it listens, and define the original image.

        The test driver forgets all when its last connection closes; ``connection`` is kept.
        """
        self.socket.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["libvirtd"],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                env={
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME": str(self.folder / "home"),
                    "XDG_RUNTIME_DIR": str(self.folder / "run"),
                },
                cwd="/",
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)
        self.connection = libvirt.open(self.uri)
        self.define(IMAGE, IMAGE_UUID)

    def _listens(self) -> bool:
        """Tell whether it can be connected to; its socket is there a moment before that."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def define(self, name: str, uuid: str, metadata: str = "") -> libvirt.virDomain:
        """Define a domain."""
        return self.connection.defineXML(DOMAIN.format(name=name, uuid=uuid, metadata=metadata))

    def add_pools(self, count: int) -> None:
        """Define and start so many more pools; each of the test driver's has 100 GiB."""
        for number in range(count):
            name = f"more{number}"
            target = f"<target><path>/{name}</path></target>"
            xml = f"<pool type='dir'><name>{name}</name>{target}</pool>"
            self.connection.storagePoolDefineXML(xml).create()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it hang: the kernel accepts connections for it, and nothing more happens."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
