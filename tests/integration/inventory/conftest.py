# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-inventory on libvirtd's test driver, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.model.vm import vm_uuid
from support import listing, testdriver
from support.ports import free_port
from support.testdriver import Libvirtd

REQUEST = "2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e"
MADE = (
    "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='debian12.original'"
    f" request='{REQUEST}' created='1795500000' who='alice' clone_mode='linked'"
    " customize='offline' customize_reason='asked for'"
    " image_version='3f7a' base='0a1b2c3d'>"
    "<maglica:tag name='web'/><maglica:tag name='stage:test'/></maglica:vm>"
)


@dataclass(frozen=True)
class Listed:
    """What ansible-inventory printed: ``data`` for --list, else ``text``; and what it warned of."""

    text: str
    warnings: str

    @property
    def data(self) -> dict[str, Any]:
        return listing.loads(self.text)

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        return self.data["_meta"]["hostvars"]

    def group(self, name: str) -> list[str]:
        return sorted(self.data.get(name, {}).get("hosts", []))


class Inventory:
    """Inventory files in a folder, each listed by a process of its own."""

    def __init__(self, folder: Path, collections: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }

    def write(self, options: dict[str, Any] | str, name: str = "maglica.yml") -> Path:
        path = self.folder / name
        if isinstance(options, dict):
            options = yaml.safe_dump({"plugin": "maglica.cloud.maglica", **options})
        path.write_text(options)
        return path

    def list(self, options: dict[str, Any] | str | Path, *arguments: str) -> Listed:
        """List the inventory of these options; ``arguments`` default to --list."""
        path = options if isinstance(options, Path) else self.write(options)
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-inventory"),
                "--inventory",
                str(path),
                *(arguments or ("--list",)),
            ],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # Warnings are wrapped to the terminal's width.
        return Listed(done.stdout, " ".join(done.stderr.split()))

    def python(self, *lines: str) -> None:
        """Run a few lines of Python as the same user."""
        command = [sys.executable, "-c", "\n".join(lines)]
        subprocess.run(command, env=self.environment, cwd=self.folder, check=True)


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Libvirtd]:
    with testdriver.running() as running:
        yield running


@pytest.fixture(scope="session")
def kvm0(libvirtd: Libvirtd) -> str:
    """The URI of a host with a clone, another vm, a paused one and an image."""
    domains = [
        testdriver.domain("vm0.example.jp", 1, identity=vm_uuid(REQUEST), metadata=MADE),
        testdriver.domain("db.example.jp", 2),
        testdriver.domain("idle.example.jp", 3, state=3),
        testdriver.domain("debian12.original", 4, state=5),
    ]
    return libvirtd.uri(testdriver.node(libvirtd.folder / "kvm0.xml", domains))


@pytest.fixture(scope="session")
def kvm1(libvirtd: Libvirtd) -> str:
    """The URI of a host with the same image, another, and a vm of a name that kvm0 has too."""
    domains = [
        testdriver.domain("db.example.jp", 5),
        testdriver.domain("debian12.original", 6, state=5),
        testdriver.domain("draft", 7, state=5),
    ]
    return libvirtd.uri(testdriver.node(libvirtd.folder / "kvm1.xml", domains))


@pytest.fixture(scope="session")
def web(libvirtd: Libvirtd) -> str:
    """The URI of a host with web servers."""
    domains = [
        testdriver.domain("web0.example.jp", 1, identity=vm_uuid(REQUEST), metadata=MADE),
        testdriver.domain("web1.example.jp", 2, state=3),
        testdriver.domain("db.example.jp", 3),
    ]
    return libvirtd.uri(testdriver.node(libvirtd.folder / "web.xml", domains))


@pytest.fixture
def dead() -> str:
    return f"qemu+tcp://127.0.0.1:{free_port()}/system"


@pytest.fixture
def inventory(tmp_path: Path, checkout: Path) -> Inventory:
    return Inventory(tmp_path, checkout / ".collections")
