# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the kernel's command lines stand: what a boot loader reads.

kernel-install(8) writes a machine id into them, which comes before that of /etc/machine-id.
"""

from __future__ import annotations

BOOT_ENTRIES = (
    "/boot/loader/entries/*.conf",
    "/boot/efi/loader/entries/*.conf",
    "/efi/loader/entries/*.conf",
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/extlinux/extlinux.conf",
)
