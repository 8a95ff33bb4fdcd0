# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether KVM works here, which neither /dev/kvm nor a QEMU that accepts it tells."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_TRIAL = 3.0
"""Seconds for a kernel to come to its end for want of a root; on a sound KVM it needs one."""


def kvm_works(kernel: Path) -> bool:
    """Start `kernel` on KVM and tell whether it says its version and ends by itself."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "kvm", "-m", "256"),
        *("-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"),
    ]
    try:
        trial = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return trial.returncode == 0 and b"Linux version" in trial.stdout
