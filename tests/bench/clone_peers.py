# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other ways to a vm: virt-clone and virt-customize, kcli, and the least that it can take."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .clone_rig import IMAGE, MEMORY_MIB, Rig, run

_KCLI_CONFIG = """\
default: {{client: local, pool: default}}
local: {{type: kvm, host: 127.0.0.1, url: "{uri}", pool: default}}
"""


def with_peer(rig: Rig, number: int) -> tuple[float, float]:
    """Make a vm by virt-clone and virt-customize; return the seconds of each."""
    name = f"peer{number}"
    disk = rig.pool / f"{name}.qcow2"
    copied = run(
        *("virt-clone", "--connect", rig.uri, "--original", IMAGE),
        *("--name", name, "--file", str(disk)),
    )
    customized = run(
        *("virt-customize", "--no-network", "--format", "qcow2", "-a", str(disk)),
        *("--hostname", f"{name}.example.jp"),
    )
    rig.connection.lookupByName(name).undefine()
    disk.unlink()
    return copied, customized


def at_the_limit(rig: Rig, base: Path, number: int) -> float:
    """Make an overlay by qemu-img and define a domain with it: what no clone can do without."""
    name = f"limit{number}"
    disk = rig.pool / f"{name}.qcow2"
    begun = time.perf_counter()
    run("qemu-img", "create", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(disk))
    rig.add_image(name, disk)
    seconds = time.perf_counter() - begun
    rig.connection.lookupByName(name).undefine()
    disk.unlink()
    return seconds


class Kcli:
    """kcli with a home of its own; it makes overlays of a disk that lies in the pool.

    It leaves the guest's identity to cloud-init, which gets an image of its own to read.
    """

    def __init__(self, rig: Rig, disk: Path) -> None:
        self._rig = rig
        self._image = rig.pool / "kcli.qcow2"
        shutil.copy(disk, self._image)
        rig.connection.storagePoolLookupByName("default").refresh()
        home = rig.folder / "home"
        for folder in (home / ".kcli", home / ".ssh"):
            folder.mkdir(parents=True)
        (home / ".kcli/config.yml").write_text(_KCLI_CONFIG.format(uri=rig.uri))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / ".ssh/id_ed25519"))
        self._environment = {**os.environ, "HOME": str(home)}

    def clone(self, number: int) -> float:
        """Make a vm, remove it, and return the seconds that making took."""
        name = f"kcli{number}"
        command = [str(Path(sys.executable).parent / "kcli"), "-C", "local", "create", "vm", name]
        command += ["-i", self._image.name, "-P", "start=False", "-P", f"memory={MEMORY_MIB}"]
        begun = time.perf_counter()
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr or done.stdout}")
        self._rig.connection.lookupByName(name).undefine()
        for path in self._rig.pool.glob(f"{name}[._]*"):
            path.unlink()
        return seconds
