#!/bin/sh
# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Fills the partition image $1, which has a file system, with the root $2 and the tree $3 over it,
# below the folder $4 ("" but for a subvolume of btrfs). GRUB's own images for BIOS and for UEFI are
# made by the guest's own GRUB, and left in the folder $5, which is also where it is mounted.
# Runs in a mount namespace of its own.
set -eu
partition=$1 root=$2 over=$3 folder=$4 work=$5

mkdir -p "$work/top"
mount -o loop "$partition" "$work/top"
top=$work/top$folder
[ -z "$folder" ] || btrfs -q subvolume create "$top"
cp -a "$root/." "$over/." "$top/"
# As grub-install does, which would want the disk and its partitions as devices.
modules="part_gpt fat ext2 xfs btrfs search search_fs_uuid configfile normal linux gzio serial echo test"
made=/boot/grub
chroot "$top" grub-mkimage -O i386-pc -p "$folder/boot/grub" -c "$made/load.cfg" \
    -o "$made/core.img" biosdisk $modules
chroot "$top" grub-mkimage -O x86_64-efi -p "$folder/boot/grub" -c "$made/load.cfg" \
    -o "$made/BOOTX64.EFI" $modules
cp "$top/usr/lib/grub/i386-pc/boot.img" "$top$made/core.img" "$top$made/BOOTX64.EFI" "$work/"
umount "$work/top"
