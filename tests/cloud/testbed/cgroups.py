# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control group for each host, so that no two of them share their services' groups.

Without one the containers of one session all begin in the session's own group, and a host's
systemd that waits for a service's group to become empty waits for another host's processes.
Only the hierarchies that systemd itself keeps are touched, none that limits anything.
"""

from __future__ import annotations

from pathlib import Path


def hierarchies() -> list[Path]:
    """Return where the hierarchies are mounted in which systemd tracks its services."""
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _source, point, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(point))
    return found


def make_cgroups(machine: str) -> list[Path]:
    """Make the groups of a machine, one in each hierarchy."""
    groups = [root / machine for root in hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def remove_cgroups(prefix: str) -> None:
    """Remove the groups of all machines whose names begin with `prefix`; no process is in them."""
    for root in hierarchies():
        for group in root.glob(f"{prefix}*"):
            inner = [path for path in group.rglob("*") if path.is_dir()]
            for path in [*sorted(inner, reverse=True), group]:
                path.rmdir()
