# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays out a disk as Debian's images for clouds are, so that BIOS and UEFI both start it.

Nothing needs a device of a partition, which containers have none of: each partition is a file of
its own first.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from pathlib import Path

from support.run import remove_tree, run

HERE = Path(__file__).parent
SIZE_MIB = 1280
SECTOR = 512
# In sectors: where GRUB for BIOS, the EFI system partition and the root begin, and the end of all.
_BIOS_AT, _EFI_AT, _ROOT_AT = 2048, 8192, 262144
_END = SIZE_MIB * 2048
_EFI_KIB = (_ROOT_AT - _EFI_AT) // 2
# GPT keeps its other copy at the end of the disk.
_ROOT_SECTORS = _END - 2048 - _ROOT_AT

_TABLE = """\
label: gpt
14: start={bios}, size={bios_size}, type=21686148-6449-6E6F-744E-656564454649
15: start={efi}, size={efi_size}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={efi_id}
1: start={root}, size={root_size}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={root_id}
"""
# The command that makes each file system, what its line in fstab says, where in it the root is.
_MAKE = {
    "ext4": (("mkfs.ext4", "-q", "-U"), "rw,discard,errors=remount-ro", ""),
    "xfs": (("mkfs.xfs", "-q", "-m"), "rw,discard", ""),
    "btrfs": (("mkfs.btrfs", "-q", "-U"), "rw,discard=async,subvol=@", "/@"),
}
FILESYSTEMS = tuple(_MAKE)
# quiet as in Debian's; the rest only saves time at the start, or gives it more.
_ARGUMENTS = (
    "ro console=tty0 console=ttyS0,115200 quiet mitigations=off apparmor=0 selinux=0 audit=0"
    " cryptomgr.notests rcupdate.rcu_expedited=1 random.trust_cpu=on i8042.noaux i8042.nomux"
    " systemd.default_timeout_start_sec=300 systemd.default_device_timeout_sec=300"
)


def make(root: Path, filesystem: str, write: Callable[[Path], None], target: Path) -> None:
    """Make the qcow2 disk `target` of the tree `root`; what is needed meanwhile lies beside it.

    `write` is called with a folder, and writes to it what is to be laid over the tree.
    """
    work = target.with_suffix(".work")
    remove_tree(work)
    work.mkdir(parents=True)
    ids = {name: str(uuid.uuid4()) for name in ("root", "efi", "filesystem")}
    command, options, folder = _MAKE[filesystem]
    partition = work / "root"
    with partition.open("wb") as file:
        file.truncate(_ROOT_SECTORS * SECTOR)
    own = ids["filesystem"]
    run(*command, f"uuid={own}" if filesystem == "xfs" else own, partition)
    over = work / "over"
    write(over)
    _write(over / "etc/fstab", _fstab(ids, filesystem, options))
    kernel = max(path.name.partition("-")[2] for path in (root / "boot").glob("vmlinuz-*"))
    _write(over / "boot/grub/grub.cfg", _menu(ids, folder, kernel))
    _write(over / "boot/grub/load.cfg", _load(ids, folder))
    (over / "boot/efi").mkdir()
    run(*("unshare", "--mount"), HERE / "lay.sh", partition, root, over, folder, work)
    raw = work / "disk"
    with raw.open("wb") as file:
        file.truncate(SIZE_MIB << 20)
    run("sfdisk", "--quiet", raw, stdin=_table(ids))
    _place(partition, raw, _ROOT_AT)
    _place(_efi(work), raw, _EFI_AT)
    _boot_by_bios(raw, (work / "boot.img").read_bytes(), (work / "core.img").read_bytes())
    made = work / "disk.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, made)
    made.rename(target)
    remove_tree(work)


def _table(ids: dict[str, str]) -> str:
    return _TABLE.format(
        bios=_BIOS_AT,
        bios_size=_EFI_AT - _BIOS_AT,
        efi=_EFI_AT,
        efi_size=_ROOT_AT - _EFI_AT,
        efi_id=ids["efi"],
        root=_ROOT_AT,
        root_size=_ROOT_SECTORS,
        root_id=ids["root"],
    )


def _fstab(ids: dict[str, str], filesystem: str, options: str) -> str:
    return (
        f"PARTUUID={ids['root']} / {filesystem} {options} 0 1\n"
        f"PARTUUID={ids['efi']} /boot/efi vfat defaults,x-systemd.device-timeout=900 0 0\n"
    )


def _load(ids: dict[str, str], folder: str) -> str:
    return (
        f"search.fs_uuid {ids['filesystem']} root\n"
        f"set prefix=($root){folder}/boot/grub\n"
        "configfile $prefix/grub.cfg\n"
    )


def _menu(ids: dict[str, str], folder: str, kernel: str) -> str:
    flags = f" rootflags=subvol={folder[1:]}" if folder else ""
    return f"""\
set default=0
set timeout=0
serial --unit=0 --speed=115200
terminal_output console serial
menuentry 'Debian GNU/Linux' --class debian {{
\tsearch --no-floppy --fs-uuid --set=root {ids["filesystem"]}
\tlinux {folder}/boot/vmlinuz-{kernel} root=PARTUUID={ids["root"]}{flags} {_ARGUMENTS}
\tinitrd {folder}/boot/initrd.img-{kernel}
}}
"""


def _efi(work: Path) -> Path:
    """Return the EFI system partition, with GRUB where removable disks have it."""
    partition = work / "efi"
    run("mkfs.vfat", "-F", "32", "-n", "UEFI", "-C", partition, str(_EFI_KIB))
    run("mmd", "-i", partition, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", partition, work / "BOOTX64.EFI", "::EFI/BOOT/")
    return partition


def _boot_by_bios(disk: Path, boot: bytes, core: bytes) -> None:
    """Put GRUB into the first sector and the BIOS boot partition, as grub-bios-setup does.

    GRUB's boot.S and diskboot.S say where each wants the number of the sector that it goes on with.
    """
    first = bytearray(boot[:440])
    struct.pack_into("<Q", first, 0x5C, _BIOS_AT)
    first[0x66:0x68] = b"\x90\x90"  # Don't look for a floppy: BIOS says which disk it is.
    image = bytearray(core + bytes(-len(core) % SECTOR))
    struct.pack_into("<QH", image, SECTOR - 12, _BIOS_AT + 1, len(image) // SECTOR - 1)
    if len(image) > (_EFI_AT - _BIOS_AT) * SECTOR:
        raise ValueError(f"GRUB's image of {len(image)} bytes is larger than its partition")
    with disk.open("r+b") as file:
        file.write(first)
        file.seek(_BIOS_AT * SECTOR)
        file.write(image)


def _place(partition: Path, disk: Path, sector: int) -> None:
    run(
        *("dd", f"if={partition}", f"of={disk}", "bs=1M", f"seek={sector // 2048}"),
        *("conv=sparse,notrunc", "status=none"),
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
