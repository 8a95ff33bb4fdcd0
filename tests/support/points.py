# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real host whose worker can be stopped at named points, and killed there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .cloud import Cloud

_CODE = Path(__file__).resolve().parent / "cloud_points"
POINTS, LOOK = ((_CODE / name).read_text() for name in ("sitecustomize.py", "look.py"))
FOLDER = "/run/maglica-points"
UNITS = {"host worker": "maglica-host-worker", "libvirtd": "libvirtd"}
_DROP_IN = "/run/systemd/system/maglica-host-worker.service.d"
# libvirtd may be killed more often than systemd would start it again.
_UNLIMITED = "/run/systemd/system/libvirtd.service.d"
_INSTALL = f"""
set -e
mkdir -p {FOLDER} {_DROP_IN} {_UNLIMITED}
printf '[Unit]\\nStartLimitIntervalSec=0\\n' > {_UNLIMITED}/points.conf
path="{FOLDER}:/usr/local/lib/maglica/current"
printf '[Service]\\nEnvironment=PYTHONPATH=%s\\n' "$path" > {_DROP_IN}/points.conf
systemctl daemon-reload
systemctl restart maglica-host-worker
"""
_REMOVE = f"""
rm -rf {_DROP_IN}/points.conf {_UNLIMITED}/points.conf {FOLDER}
systemctl daemon-reload
systemctl restart maglica-host-worker
"""
_WAIT = "for turn in $(seq 60); do test -e {folder}/reached && exit; sleep 0.05; done; echo no"
_KILL_REACHED = f"kill -9 $(cat {FOLDER}/reached)"
_KILL_UNIT = """
while test $(systemctl show -P MainPID {unit}) = 0; do sleep 0.1; done
kill -9 $(systemctl show -P MainPID {unit})"""


@dataclass(frozen=True)
class Look:
    """What is on a host: names of files and domains, and all that a job may have left."""

    domains: frozenset[str]
    files: frozenset[str]
    bases: frozenset[str]
    leftovers: tuple[str, ...]


class Site:
    """A host of the cloud, by SSH: its points, its processes, and what is on it."""

    def __init__(self, cloud: Cloud, host: str) -> None:
        self.cloud = cloud
        self.host = host

    def shell(self, script: str, check: bool = True) -> str:
        return self.cloud.ssh(self.host, script, check=check)

    # --- points

    @contextmanager
    def points(self) -> Iterator[None]:
        """Let the host's worker pass points during the block."""
        write = f"mkdir -p {FOLDER}; cat > {FOLDER}/sitecustomize.py <<'END'"
        self.shell(f"{write}\n{POINTS}\nEND")
        self.shell(_INSTALL)
        try:
            self.cloud.wait_alive(self.host, alive=True)
            yield
        finally:
            self.shell(_REMOVE)
            self.cloud.wait_alive(self.host, alive=True)

    def passed(self) -> list[str]:
        """Return the points passed since the last call."""
        return self.shell(
            f"cat {FOLDER}/passed 2>/dev/null; rm -f {FOLDER}/passed", check=False
        ).split()

    def stop_at(self, *points: str) -> None:
        """Let who comes to one of the points wait there; who waits elsewhere goes on."""
        stop = " ".join(points)
        self.shell(
            f"rm -f {FOLDER}/reached; echo {stop} > {FOLDER}/next; mv {FOLDER}/next {FOLDER}/stop"
        )

    def is_reached(self) -> bool:
        """Wait some seconds for somebody at the point."""
        return self.shell(_WAIT.format(folder=FOLDER)) != "no"

    def go_on(self) -> None:
        self.shell(f"rm -f {FOLDER}/stop {FOLDER}/reached")

    def kill(self, victim: str, following: str | None = None) -> None:
        """End a process with SIGKILL, and let go on what is left of who waits at the point.

        Whoever takes up the work stops at the point ``following``, if there is one.
        """
        go_on = f"rm -f {FOLDER}/stop {FOLDER}/reached"
        if following:
            arm = f"echo {following} > {FOLDER}/next; mv {FOLDER}/next {FOLDER}/stop"
            go_on = f"rm -f {FOLDER}/reached; {arm}"
        if victim == "client worker":
            self.cloud.ssh(self.cloud.client, _KILL_UNIT.format(unit="maglica-client-worker"))
            self.shell(go_on)
            return
        kill = _KILL_UNIT.format(unit=UNITS[victim]) if victim in UNITS else _KILL_REACHED
        self.shell(f"{kill}\n{go_on}")

    def end_worker(self) -> None:
        """Kill the host worker and its children, and let nobody start it again."""
        unit = UNITS["host worker"]
        # A stop that is under way keeps systemd from starting what is killed.
        self.shell(f"systemctl stop --no-block {unit}; systemctl kill -s KILL {unit}")
        self.shell(f"systemctl stop {unit}")

    def start_worker(self) -> None:
        self.shell(f"systemctl start {UNITS['host worker']}")

    # --- what is there

    def look(self) -> Look:
        seen = json.loads(self.shell(f"python3 - <<'END'\n{LOOK}\nEND"))
        sound = [text for text in seen["sound"] if text != "ok"]
        kinds = ("unready", "intents", "open", "locks", "programs", "scratch")
        left = [f"{kind}: {text}" for kind in kinds for text in seen[kind]] + sound
        names = (frozenset(seen[kind]) for kind in ("domains", "files", "bases"))
        return Look(*names, tuple(left))

    def settled(self, seconds: float = 60) -> Look:
        """Look until nothing is left of jobs, or until some seconds are over."""
        deadline = time.monotonic() + seconds
        while (seen := self.look()).leftovers and time.monotonic() < deadline:
            time.sleep(0.5)
        return seen

    def new_version(self, image: str) -> None:
        """Let the image's disk look as if its owner had used it, so that it needs a new base."""
        self.shell(f"touch /var/lib/libvirt/images/{image}.qcow2")

    def digest_when_written(self, image: str) -> str:
        """Return the SHA-256 of a copy of the image's disk to which a guest has written."""
        copy = "/var/lib/maglica-host-worker/written.qcow2"
        write = f"qemu-io -f qcow2 -c 'write -P 7 0 512' {copy} > /dev/null"
        made = f"cp /var/lib/libvirt/images/{image}.qcow2 {copy} && {write} && sha256sum {copy}"
        return self.shell(f"{made}; state=$?; rm -f {copy}; exit $state").split()[0]
