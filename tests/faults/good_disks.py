# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that must be accepted, of every kind that QEMU makes of raw and qcow2."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .disks import MIB, QEMU_IMG, Disk, Maker, Workshop, patched


def _raw(shop: Workshop, size: int = 3 * MIB) -> Disk:
    content = shop.bytes(size)
    return Disk(shop.raw(content), "raw", content)


def _plain(shop: Workshop, *options: str) -> Disk:
    content = shop.bytes()
    return Disk(shop.convert(content, *options), content=content)


def _raw_with_a_header_inside(shop: Workshop) -> Disk:
    lie = shop.overlay(shop.secret, "raw", name="lie").read_bytes()
    return Disk(shop.raw(lie), "raw", lie)


def _raw_with_a_vmdk_inside(shop: Workshop) -> Disk:
    text = f'# Disk DescriptorFile\nversion=1\nRW 6144 FLAT "{shop.secret}" 0\n'.encode()
    content = text.ljust(MIB, b"\0")
    return Disk(shop.raw(content), "raw", content)


def _chain(shop: Workshop, depth: int, kind: str = "qcow2") -> Disk:
    content = shop.bytes()
    below = shop.raw(content, "bottom") if kind == "raw" else shop.convert(content, name="bottom")
    for level in range(depth):
        path = shop.overlay(below.name, kind, name=f"layer{level}")
        if level % 6 == 0:
            content = shop.write(path, content, (level * 70_000) // 512 * 512, 1024, level + 1)
        below, kind = path, "qcow2"
    return Disk(below, content=content)


def _chain_in_two_pools(shop: Workshop) -> Disk:
    content = shop.bytes()
    moved = shop.convert(content).rename(shop.other / "bottom")
    return Disk(shop.overlay(moved, "qcow2"), content=content)


def _longer_than_its_backing(shop: Workshop) -> Disk:
    content = shop.bytes(MIB)
    shop.raw(content, "bottom")
    return Disk(shop.overlay("bottom", "raw"), content=content.ljust(3 * MIB, b"\0"))


def _shorter_than_its_backing(shop: Workshop) -> Disk:
    content = shop.bytes(5 * MIB)
    shop.convert(content, name="bottom")
    return Disk(shop.overlay("bottom", "qcow2"), content=content[: 3 * MIB])


def _resized(shop: Workshop, size: int, *options: str) -> Disk:
    content = shop.bytes()
    path = shop.convert(content)
    shop.run(QEMU_IMG, "resize", "-q", "-f", "qcow2", *options, path, size)
    return Disk(path, content=content[:size].ljust(size, b"\0"))


def _with_snapshots(shop: Workshop) -> Disk:
    content = shop.bytes()
    path = shop.convert(content)
    for turn in (1, 2):
        shop.run(QEMU_IMG, "snapshot", "-c", f"before{turn}", path)
        content = shop.write(path, content, turn * 512, 200_192, turn)
    return Disk(path, content=content)


def _with_a_bitmap(shop: Workshop) -> Disk:
    disk = _plain(shop)
    shop.run(QEMU_IMG, "bitmap", "--add", "--enable", "-f", "qcow2", disk.path, "backup")
    return disk


def _with_zeros(shop: Workshop) -> Disk:
    content = shop.bytes()
    path = shop.convert(content)
    orders = ("-c", "write -z 65536 262144", "-c", "discard 524288 131072")
    shop.run("qemu-io", "-d", "unmap", "-f", "qcow2", *orders, path)
    data = bytearray(content)
    data[65536 : 65536 + 262144] = bytes(262144)
    data[524288 : 524288 + 131072] = bytes(131072)
    return Disk(path, content=bytes(data))


def _dirty(shop: Workshop) -> Disk:
    """As a guest with lazy refcounts leaves its disk after a power cut."""
    disk = _plain(shop, "-o", "lazy_refcounts=on")
    patched(disk.path, 72, "Q", 1)
    return disk


def _behind_a_link(shop: Workshop) -> Disk:
    disk = _plain(shop)
    (shop.pool / "link").symlink_to(disk.path.name)
    return Disk(shop.pool / "link", content=disk.content)


_PREALLOCATIONS = ("metadata", "falloc", "full")
_CLUSTERS = ("512", "1k", "4k", "16k", "128k", "2M")


def cases() -> Iterator[tuple[str, Maker]]:
    yield "raw", _raw
    yield "raw, no whole number of clusters", partial(_raw, size=MIB + 512)
    yield "raw, no whole number of sectors", partial(_raw, size=MIB + 77)
    yield "raw with a qcow2 header in it", _raw_with_a_header_inside
    yield "raw with a VMDK descriptor in it", _raw_with_a_vmdk_inside
    yield "qcow2", _plain
    yield "qcow2 version 2", partial(_options, text="compat=0.10")
    for size in _CLUSTERS:
        yield f"clusters of {size}", partial(_options, text=f"cluster_size={size}")
    yield "compressed (zlib)", partial(_compressed, text="compression_type=zlib")
    yield "compressed (zstd)", partial(_compressed, text="compression_type=zstd")
    yield "compressed, clusters of 2M", partial(_compressed, text="cluster_size=2M")
    yield "lazy refcounts", partial(_options, text="lazy_refcounts=on")
    yield "dirty", _dirty
    yield "extended L2 entries", partial(_options, text="extended_l2=on,cluster_size=128k")
    for kind in _PREALLOCATIONS:
        yield f"preallocated: {kind}", partial(_options, text=f"preallocation={kind}")
    yield "refcounts of 1 bit", partial(_options, text="refcount_bits=1")
    yield "refcounts of 64 bits", partial(_options, text="refcount_bits=64")
    yield "upon a raw disk", partial(_chain, depth=1, kind="raw")
    yield "upon a qcow2 disk", partial(_chain, depth=1)
    yield "a chain of 8", partial(_chain, depth=7)
    yield "the longest chain", partial(_chain, depth=31)
    yield "a chain in two pools", _chain_in_two_pools
    yield "longer than its backing file", _longer_than_its_backing
    yield "shorter than its backing file", _shorter_than_its_backing
    yield "made longer", partial(_resized, size=4 * MIB)
    yield "made shorter", lambda shop: _resized(shop, MIB, "--shrink")
    yield "with internal snapshots", _with_snapshots
    yield "with a bitmap", _with_a_bitmap
    yield "with zeros and discarded parts", _with_zeros
    yield "behind a link in the pool", _behind_a_link


def _options(shop: Workshop, text: str) -> Disk:
    return _plain(shop, "-o", text)


def _compressed(shop: Workshop, text: str) -> Disk:
    return _plain(shop, "-c", "-o", text)
