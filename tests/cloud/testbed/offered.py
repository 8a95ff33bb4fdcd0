# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that the hosts fetch: the client offers it as Debian does, with a file of sums."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from support.run import run, step
from testbed.layout import IMAGE, Layout

# As Debian's folders and files are called.
FOLDER = "images/cloud/bookworm/latest"
FILE = "debian-12-genericcloud-amd64.qcow2"
SUMS = "SHA512SUMS"
MEMORY_MIB = 384


def arguments(cloud: Layout) -> str:
    """Return what maglica_image is to be told."""
    folder = f"http://{cloud.client.name}/{FOLDER}"
    return f"name={IMAGE} url={folder}/{FILE} checksum={folder}/{SUMS} memory={MEMORY_MIB} vcpus=1"


def lay_out(cloud: Layout, disk: Path) -> None:
    """Put the disk where the client offers it, with a file of its sum."""
    folder = cloud.offered / FOLDER
    folder.mkdir(parents=True)
    os.link(disk, folder / FILE)
    with disk.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").hexdigest()
    (folder / SUMS).write_text(f"{digest}  {FILE}\n")


def add(cloud: Layout) -> None:
    """Have all hosts fetch the image, by the command that a user would type."""
    mark = cloud.state / "added"
    if mark.exists():
        return
    with step(f"the hosts fetch {IMAGE}"):
        command = (cloud.build / "venv/bin/ansible", "localhost", "-m", "maglica_image")
        environment = {**os.environ, "MAGLICA_CONFIG": str(cloud.state / "maglica.conf")}
        run(*command, "-a", arguments(cloud), env=environment, cwd=cloud.checkout, timeout=900)
    mark.touch()
