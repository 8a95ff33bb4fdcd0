# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizes of disks, on real QEMU: the test driver tells none."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from maglica.config.config import HostEntry
from maglica.fleet import shown
from support import qemu_libvirtd
from support.reading import snapshot

_MIB = 1 << 20


def _run(*command: object) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def _make_disks(folder: Path, name: str) -> None:
    """Make a qcow2 of 80 MiB upon a base with 3 MiB, and a sparse raw file of 32 MiB."""
    base, top, raw = (folder / f"{name}{suffix}" for suffix in (".base", ".qcow2", ".raw"))
    _run("qemu-img", "create", "-f", "qcow2", base, "64M")
    _run("qemu-io", "-c", "write 0 3M", base)
    _run("qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "qcow2", top, "80M")
    _run("qemu-io", "-c", "write 0 1M", top)
    _run("qemu-img", "create", "-f", "raw", raw, "32M")
    _run("qemu-io", "-f", "raw", "-c", "write 0 2M", raw)


@pytest.fixture
def qemu() -> Iterator[tuple[str, Path]]:
    """The URI of a host with the image ``image`` and the paused vm ``vm``, and their folder."""
    # A short path: sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="maglica-sizes-") as made:
        folder = Path(made)
        with qemu_libvirtd.running(folder / "libvirtd") as uri:
            connection = libvirt.open(uri)
            for name in ("image", "vm"):
                _make_disks(folder, name)
                disks = {
                    "vda": ("qcow2", folder / f"{name}.qcow2"),
                    "vdb": ("raw", folder / f"{name}.raw"),
                }
                connection.defineXML(qemu_libvirtd.definition(name, disks, memory_mib=32))
            connection.lookupByName("vm").createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
            connection.close()
            yield uri, folder


def test_sizes_of_disks(qemu: tuple[str, Path]) -> None:
    uri, folder = qemu
    seen = snapshot([HostEntry("kvm0", uri)], sources=())
    assert seen.unreachable == seen.problems == ()
    for domain in (*seen.vms, *seen.images):
        sizes = {disk.target: (disk.capacity_bytes, disk.allocation_bytes) for disk in domain.disks}
        held = {
            suffix: (folder / f"{domain.name}.{suffix}").stat().st_blocks * 512
            for suffix in ("qcow2", "raw")
        }
        assert sizes == {"vda": (80 * _MIB, held["qcow2"]), "vdb": (32 * _MIB, held["raw"])}
        assert held["raw"] < 32 * _MIB
    assert [vm.name for vm in seen.vms] == ["vm"]
    (image,) = shown.images(seen)
    assert image["size_bytes"] == image["copies"][0]["size_bytes"] == (80 + 32) * _MIB
