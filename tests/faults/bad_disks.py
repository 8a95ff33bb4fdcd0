# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that must be refused: they lead to other files of the host, lie, or are broken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from support import qcow2

from .disks import CLUSTER, MIB, QEMU_IMG, Disk, Maker, Workshop, first_table, json_name, patched


def _upon(shop: Workshop, name: str, kind: str = "raw") -> Disk:
    """A qcow2 file whose header names ``name`` as its backing file."""
    return Disk(shop.overlay(name, kind))


def _upon_the_secret(shop: Workshop, form: str) -> Disk:
    return _upon(shop, form.format(path=shop.secret, folder=shop.host))


def _upon_a_link(shop: Workshop) -> Disk:
    (shop.pool / "innocent").symlink_to(shop.secret)
    return _upon(shop, "innocent")


def _upon_an_unstated_format(shop: Workshop) -> Disk:
    """The format of the backing file would be guessed: what is raw may say it is qcow2."""
    shop.raw(shop.overlay(shop.secret, "raw", name="lie").read_bytes(), "bottom")
    path = shop.pool / "disk"
    path.write_bytes(qcow2.header(3 * MIB, backing=b"bottom").ljust(4 * CLUSTER, b"\0"))
    return Disk(path)


def _deep(shop: Workshop, level: int) -> Disk:
    """The secret is the lowest layer of a chain."""
    path = shop.overlay(shop.secret, "raw", name="layer0")
    for number in range(1, level):
        path = shop.overlay(path.name, "qcow2", name=f"layer{number}")
    return Disk(path, named=str(shop.pool / "layer0"))


def _loop(shop: Workshop) -> Disk:
    shop.overlay("two", "qcow2", name="one")
    return Disk(shop.overlay("one", "qcow2", name="two"))


def _too_many_layers(shop: Workshop) -> Disk:
    path = shop.raw(shop.bytes(), "bottom")
    for number in range(32):
        kind = "qcow2" if number else "raw"
        path = shop.overlay(path.name, kind, name=f"layer{number}")
    return Disk(path)


def _external_data(shop: Workshop, raw: str) -> Disk:
    path, data = shop.pool / "disk", shop.host / "data"
    options = f"data_file={data},data_file_raw={raw}"
    shop.run(QEMU_IMG, "create", "-q", "-f", "qcow2", "-o", options, path, 3 * MIB)
    data.write_bytes(shop.secret.read_bytes())
    return Disk(path)


def _external_data_extension(shop: Workshop) -> Disk:
    path = shop.pool / "disk"
    extension = (qcow2.DATA_FILE, str(shop.secret).encode())
    path.write_bytes(
        qcow2.header(3 * MIB, incompatible=4, extensions=[extension]).ljust(MIB, b"\0")
    )
    return Disk(path)


def _encrypted(shop: Workshop, method: int) -> Disk:
    path = shop.pool / "disk"
    extensions = [(qcow2.LUKS, b"\0" * 16)] if method == 2 else []
    head = qcow2.header(3 * MIB, encrypted=method, extensions=extensions)
    path.write_bytes(head.ljust(MIB, b"\0"))
    return Disk(path)


def _luks(shop: Workshop) -> Disk:
    path = shop.pool / "disk"
    path.write_bytes(b"LUKS\xba\xbe\0\1aes".ljust(MIB, b"\0"))
    return Disk(path, "luks")


def _changed(shop: Workshop, offset: int, form: str, value: int) -> Disk:
    """A good disk, but for one number of its header."""
    return Disk(patched(shop.convert(shop.bytes()), offset, form, value))


def _cut(shop: Workshop, share: float) -> Disk:
    path = shop.convert(shop.bytes())
    os.truncate(path, int(path.stat().st_size * share) // 512 * 512)
    return Disk(path)


def _entry(shop: Workshop, value: int) -> Disk:
    """A good disk, but for one entry of its table."""
    path = shop.convert(shop.random.randbytes(MIB))
    return Disk(patched(path, first_table(path), "Q", value))


def _bomb(shop: Workshop) -> Disk:
    """All of the disk lies in one place of a small file."""
    path = shop.convert(shop.random.randbytes(MIB))
    entry = 1 << 63 | 5 * CLUSTER
    return Disk(patched(path, first_table(path), "16Q", *[entry] * 16))


def _sparse_lie(shop: Workshop) -> Disk:
    """A raw file of nearly 8 EiB, as only some file systems can have it."""
    path = shop.pool / "small" / "disk.raw"
    path.parent.mkdir()
    shop.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path.parent)
    with path.open("wb") as file:
        file.truncate((1 << 63) - 4096)
    return Disk(path, "raw")


def _foreign(shop: Workshop, kind: str) -> Disk:
    return Disk(shop.convert(shop.bytes(), kind=kind), kind)


def _foreign_as_qcow2(shop: Workshop, kind: str) -> Disk:
    return Disk(shop.convert(shop.bytes(), kind=kind))


def _vmdk_extents(shop: Workshop) -> Disk:
    path = shop.pool / "disk.vmdk"
    path.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        f'createType="monolithicFlat"\nRW 6144 FLAT "{shop.secret}" 0\n'
        'ddb.adapterType = "ide"\nddb.geometry.cylinders = "6"\n'
    )
    return Disk(path, "vmdk")


def _raw_as_qcow2(shop: Workshop) -> Disk:
    return Disk(shop.raw(shop.bytes()))


def _link(shop: Workshop) -> Disk:
    path = shop.pool / "disk.raw"
    path.symlink_to(shop.secret)
    return Disk(path, "raw")


def _special(shop: Workshop, make: str) -> Disk:
    path = shop.pool / "disk.raw"
    if make == "pipe":
        os.mkfifo(path)
    elif make == "device":
        # /dev/zero: a copy would never end.
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    elif make == "directory":
        path.mkdir()
    return Disk(path, "raw")


def _named(shop: Workshop, name: str) -> Disk:
    path = shop.pool / name
    path.write_bytes(shop.bytes())
    return Disk(path, "raw", named="disk")


def _of_kind(shop: Workshop, kind: str) -> Disk:
    """A source that is not a file: a folder as a FAT disk, or a disk behind the network."""
    return Disk(shop.host if kind == "dir" else Path("/x"), "raw", kind=kind, named="vda")


_FOREIGN = ("vmdk", "vdi", "vhdx", "vpc", "qed", "qcow")
_BACKING = ("nbd:localhost:10809", "nbd://localhost/x", "fat:rw:{folder}", "file:{path}")
_HEADERS = {
    "version 4": (4, "I", 4),
    "clusters of 1 GiB": (20, "I", 30),
    "clusters of 256 bytes": (20, "I", 8),
    "16 EiB long": (24, "Q", (1 << 64) - 512),
    "8 EiB long": (24, "Q", 1 << 63),
    "a first table that is too short": (36, "I", 0),
    "a first table of 32 GiB": (36, "I", 0xFFFFFFFF),
    "a first table inside a cluster": (40, "Q", 4096),
    "a first table behind the end": (40, "Q", 1 << 40),
    "a refcount table of 256 TiB": (56, "I", 0xFFFFFFFF),
    "4,294,967,295 snapshots": (60, "I", 0xFFFFFFFF),
    "marked as corrupt": (72, "Q", 2),
    "an unknown feature": (72, "Q", 1 << 5),
    "another unknown feature": (72, "Q", 1 << 62),
    "refcounts of 2^99 bits": (96, "I", 99),
    "a header of 4 GiB": (100, "I", 0xFFFFFFF8),
    "a header of 8 bytes": (100, "I", 8),
    "an unknown compression": (104, "B", 7),
    "a backing file's name of 4 GiB": (8, "QI", 200),
}


def cases() -> Iterator[tuple[str, Maker]]:
    yield "upon a host's file", partial(_upon_the_secret, form="{path}")
    yield "upon a host's file, relative", partial(_upon, name="../host/secret")
    yield "upon a host's file, deep", partial(_deep, level=5)
    yield "upon a link to a host's file", _upon_a_link
    yield "upon a JSON name", lambda shop: _upon(shop, json_name(shop.secret))
    for form in _BACKING:
        yield f"upon {form}", partial(_upon_the_secret, form=form)
    yield "upon an unstated format", _upon_an_unstated_format
    yield "upon a VMDK file", partial(_upon, name="../host/secret", kind="vmdk")
    yield "upon itself", _loop
    yield "33 layers", _too_many_layers
    yield "external data", partial(_external_data, raw="off")
    yield "external raw data", partial(_external_data, raw="on")
    yield "external data, extension only", _external_data_extension
    yield "encrypted with LUKS", partial(_encrypted, method=2)
    yield "encrypted with AES", partial(_encrypted, method=1)
    yield "LUKS", _luks
    for name, (offset, form, value) in _HEADERS.items():
        yield name, (_changed_backing if form == "QI" else _header(offset, form, value))
    yield "cut in half", partial(_cut, share=0.5)
    yield "cut to a header", partial(_cut, share=0.05)
    yield "an entry behind the end", partial(_entry, value=1 << 50)
    yield "a compressed entry behind the end", partial(_entry, value=1 << 62 | 1 << 40)
    yield "an entry inside a cluster", partial(_entry, value=5 * CLUSTER + 512)
    yield "all parts in one place", _bomb
    yield "raw, 8 EiB long", _sparse_lie
    for kind in _FOREIGN:
        yield f"{kind} as {kind}", partial(_foreign, kind=kind)
        yield f"{kind} as qcow2", partial(_foreign_as_qcow2, kind=kind)
    yield "VMDK whose extent is a host's file", _vmdk_extents
    yield "raw as qcow2", _raw_as_qcow2
    yield "a link to a host's file", _link
    for make in ("pipe", "device", "directory", "nothing"):
        yield f"a {make}", partial(_special, make=make)
    for name in ("disk\n.raw", "disk\u202e.raw"):
        yield f"the name {name!r}", partial(_named, name=name)
    for kind in ("dir", "network"):
        yield f"a source of type {kind}", partial(_of_kind, kind=kind)


def _header(offset: int, form: str, value: int) -> Maker:
    return lambda shop: _changed(shop, offset, form, value)


def _changed_backing(shop: Workshop) -> Disk:
    return Disk(patched(shop.overlay("bottom", "raw"), 16, "I", 0xFFFFFFFF))
