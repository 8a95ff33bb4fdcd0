# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding and removing all of a cloud, without any record of what was made.

What a cloud leaves on a machine bears names that derive from its checkout: processes whose root is
an overlay in its folder, container managers that were given such a root, the bridge, control
groups. Nothing else is touched. Mounts, cables and namespaces end with the processes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from support.run import CloudError, remove_tree
from testbed.cgroups import hierarchies, remove_cgroups
from testbed.layout import Layout
from testbed.network import bridge_exists, remove_bridge

_KILL_DEADLINE = 30.0
_PROPAGATE = Path("/run/systemd/nspawn/propagate")


def processes(cloud: Layout) -> list[int]:
    """Return the processes of the cloud: container managers and all that runs in the hosts."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if _belongs(cloud, pid)]


def _belongs(cloud: Layout, pid: int) -> bool:
    try:
        return is_manager(cloud, Path(f"/proc/{pid}/cmdline").read_text(errors="replace")) or (
            is_inside(cloud, Path(f"/proc/{pid}/mountinfo").read_text(errors="replace"))
        )
    except OSError:
        return False  # It has ended.


def is_manager(cloud: Layout, cmdline: str) -> bool:
    """Tell from a process's arguments whether it is one of the cloud's container managers."""
    words = cmdline.split("\0")
    return "systemd-nspawn" in words and any(
        word.startswith(f"--directory={cloud.host_folders}/") for word in words
    )


def is_inside(cloud: Layout, mountinfo: str) -> bool:
    """Tell from a process's mountinfo whether it has its root in one of the cloud's hosts."""
    for line in mountinfo.splitlines():
        fields = line.split()
        if fields[4] == "/":
            return f",upperdir={cloud.host_folders}/" in line
    return False


def remains(cloud: Layout) -> list[str]:
    """Return all that there is of the cloud outside its folder, in words."""
    found = [f"process {pid}" for pid in processes(cloud)]
    if bridge_exists(cloud):
        found.append(f"bridge {cloud.bridge}")
    groups = [path for root in hierarchies() for path in root.glob(f"{cloud.machine_prefix}*")]
    return found + [f"control group {path}" for path in groups]


def remove(cloud: Layout) -> None:
    """Remove all of the cloud, running or half made; CloudError if something resists."""
    _kill(cloud)
    remove_bridge(cloud)
    remove_cgroups(cloud.machine_prefix)
    remove_propagated(cloud.machine_prefix)
    remove_tree(cloud.state)
    left = remains(cloud)
    if left:
        raise CloudError(f"could not remove all of the cloud: {', '.join(left)} stayed")


def remove_propagated(prefix: str) -> None:
    """Remove what systemd-nspawn keeps of machines whose names begin with `prefix`."""
    if _PROPAGATE.is_dir():
        for folder in _PROPAGATE.glob(f"{prefix}*"):
            folder.rmdir()


def _kill(cloud: Layout) -> None:
    """End the cloud's processes and wait until the kernel has freed what they held."""
    with contextlib.ExitStack() as stack:
        handles = []
        for pid in processes(cloud):
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                # Looked at again: the id may have passed to another process in between.
                if _belongs(cloud, pid):
                    handles.append(handle)
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_DEADLINE
        for handle in handles:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([handle], [], [], left)[0]:
                raise CloudError(f"the cloud's processes ignore SIGKILL for {_KILL_DEADLINE:.0f} s")
