# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether QEMU can use KVM on this machine, found by trying.

A /dev/kvm that can be opened is no proof: in some nested virtual machines QEMU aborts on it, and in
others it starts, and its guest stops in the middle of a kernel's start.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import subprocess
from pathlib import Path

KVM = "/dev/kvm"
# Where distributions keep kernels; libguestfs needs one of these as well.
KERNELS = ("boot/vmlinuz*", "lib/modules/*/vmlinuz")
ROOT = Path("/")
_SECONDS = 10
# On a sound KVM a kernel comes to its end, for want of a root, in one or two.
_KERNEL_SECONDS = 8
_QMP = b'{"execute": "qmp_capabilities"}\n{"execute": "quit"}\n'
_MACHINES = {"aarch64": "virt", "ppc64le": "pseries", "s390x": "s390-ccw-virtio"}
_BOOT_ID = "/proc/sys/kernel/random/boot_id"

log = logging.getLogger(__name__)


def kvm_works(accel: str, state_dir: Path) -> bool:
    """Tell whether to use KVM: what ``accel`` says ("kvm", "tcg"), or what a try shows ("auto").

    The result of a try is kept in ``state_dir`` until the machine boots again or QEMU changes.
    """
    if accel != "auto":
        return accel == "kvm"
    qemu = _qemu()
    if qemu is None or not os.access(KVM, os.R_OK | os.W_OK):
        return False
    cache = state_dir / "kvm.json"
    key = _key(qemu)
    known = _cached(cache, key)
    if known is None:
        known = _try(qemu)
        log.info("KVM %s on this machine", "works" if known else "does not work")
        _keep(cache, key, known)
    return known


def _qemu() -> str | None:
    names = (f"qemu-system-{platform.machine()}", "qemu-kvm", "/usr/libexec/qemu-kvm")
    return next((path for path in map(shutil.which, names) if path), None)


def _key(qemu: str) -> str:
    status = Path(qemu).stat()
    boot = Path(_BOOT_ID).read_text(encoding="ascii").strip()
    return f"{boot} {qemu} {status.st_size} {status.st_mtime_ns}"


def _try(qemu: str) -> bool:
    """Start a virtual machine that has nothing and is paused; then let one run a kernel."""
    command = [qemu, "-machine", f"{_machine()},accel=kvm", "-cpu", "host"]
    command += ["-nodefaults", "-no-user-config", "-display", "none"]
    if not _ends(_SECONDS, _QMP, *command, "-m", "16", "-S", "-qmp", "stdio"):
        return False
    kernel = _kernel()
    if kernel is None:
        return True
    # It panics without a root, and QEMU ends in the place of its restart.
    run = ("-m", "256", "-no-reboot", "-kernel", str(kernel), "-append", "panic=-1")
    return _ends(_KERNEL_SECONDS, b"", *command, *run)


def _machine() -> str:
    return _MACHINES.get(platform.machine(), "pc")


def _kernel() -> Path | None:
    """Return a kernel of this machine, rather the one that runs."""
    found = [path for pattern in KERNELS for path in ROOT.glob(pattern) if os.access(path, os.R_OK)]
    return max(found, key=lambda path: (platform.release() in str(path), str(path)), default=None)


def _ends(seconds: float, said: bytes, *command: str) -> bool:
    """Tell whether a QEMU ends well by itself, in so many seconds."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, input=said, capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _cached(cache: Path, key: str) -> bool | None:
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    works = known.get(key) if isinstance(known, dict) else None
    return works if isinstance(works, bool) else None


def _keep(cache: Path, key: str, works: bool) -> None:
    """Write the cache; without one the next job tries again, which is no harm."""
    temporary = cache.with_suffix(f".{os.getpid()}")
    try:
        temporary.write_text(json.dumps({key: works}), encoding="utf-8")
        temporary.replace(cache)
    except OSError as error:
        log.warning("cannot keep whether KVM works in %s: %s", cache, error)
