# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long listing takes, side by side with community.libvirt's inventory plugin; `make
bench-listing`.

Both list the same hosts, each with a libvirtd of its own, through proxies that add the latency of
a network, one after the other in the same run; what counts is the median of the rounds' ratios.
Writes build/figures/listing.json, docs/performance-listing.md and its plot.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support import figures
from support.figures import CHECKOUT, Figure
from support.latency import proxied

from . import hosts, plot

DOCUMENT = CHECKOUT / "docs" / "performance-listing.md"
PLOT = CHECKOUT / "docs" / "performance-listing.svg"
MANY = 100
ROUNDS = 7
TIMEOUT = 2.0
FULL = {"gather": "full", "address_sources": ["lease"]}
MINIMAL = {"gather": "minimal"}


@dataclass(frozen=True)
class Process:
    """A run of ansible-inventory: its time, and its peak memory in MiB."""

    seconds: float
    memory_mib: float


class Bench:
    """The hosts, and a folder for inventory files."""

    def __init__(self, fleet: hosts.Hosts, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        config = folder / "ansible.cfg"
        config.write_text("[defaults]\n")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT / "tests"),
            "HOME": str(folder),
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_INVENTORY_PLUGINS": str(CHECKOUT / "tests" / "bench" / "inventory_plugins"),
        }

    def ours(self, uris: Sequence[str], name: str = "bench", **options: Any) -> str:
        """Write an inventory file of this collection's plugin."""
        listed = [{"name": f"kvm{number}", "uri": uri} for number, uri in enumerate(uris)]
        path = self.folder / f"{name}.maglica.yml"
        document = {"plugin": "maglica.cloud.maglica", "hosts": listed, **options}
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def theirs(self, uris: Sequence[str]) -> list[str]:
        """Write the files of community.libvirt's plugin, which has one host in each."""
        paths = []
        for number, uri in enumerate(uris):
            path = self.folder / f"kvm{number}.libvirt.yml"
            path.write_text(yaml.safe_dump({"plugin": "community.libvirt.libvirt", "uri": uri}))
            paths.append(str(path))
        return paths

    def floor(self, ours: str) -> str:
        """Write an inventory file of the plugin that has the inventory ``ours`` from memory."""
        listed = Path(f"{ours}.json")
        self.process(ours, output=listed)
        path = Path(f"{ours}.floor.yml")
        path.write_text(yaml.safe_dump({"plugin": "bench_floor", "listed": str(listed)}))
        return str(path)

    def rounds(self, count: int, ours: str, theirs: Sequence[str]) -> list[tuple[float, float]]:
        """Return what both plugins took, in seconds, for each round."""
        done = subprocess.run(
            [sys.executable, "-m", "bench.probe", str(count), ours, *theirs],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return list(map(tuple, json.loads(done.stdout)))

    def process(self, *files: str, output: Path | None = None) -> Process:
        """Run ansible-inventory --list on the files; keep what it prints in ``output``."""
        command = [str(Path(sys.executable).parent / "ansible-inventory"), "--list"]
        for file in files:
            command += ["--inventory", file]
        said = self.folder / "stderr"
        with Path(output or os.devnull).open("wb") as out, said.open("wb") as err:
            started = time.perf_counter()
            child = subprocess.Popen(command, env=self.environment, stdout=out, stderr=err)
            _pid, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode or b"Failed to parse" in said.read_bytes():
            text = said.read_text(errors="replace")
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}: {text}")
        return Process(seconds, usage.ru_maxrss / 1024)


# What is read, the options for it, and how many times faster it shall be.
Case = tuple[str, dict[str, Any], float]


def plugin_time(bench: Bench, number: int, delay: float, rounds: int, *cases: Case) -> list[Figure]:
    """Compare the plugins on so many hosts."""
    found = []
    with hosts.delayed(bench.fleet.daemons[:number], delay) as uris:
        for what, options, goal in cases:
            times = bench.rounds(rounds, bench.ours(uris, **options), bench.theirs(uris))
            ratio = statistics.median(theirs / ours for ours, theirs in times)
            own, other = (statistics.median(column) * 1000 for column in zip(*times))
            how = f"{own:.0f} ms against {other:.0f} ms, {rounds} rounds"
            name = f"plugin, {number} x 50 domains at {delay * 1000:g} ms, {what}: times faster"
            found.append(figures.at_least(name, ratio, goal, how))
    return found


def whole_process(bench: Bench) -> list[Figure]:
    """Compare whole runs of ansible-inventory --list: with an empty inventory, with the other
    plugin, and with the same inventory from memory, which is what Ansible itself takes for it.
    """
    empty = bench.folder / "empty.yml"
    empty.write_text("all:\n")
    with hosts.delayed(bench.fleet.daemons[:4], 0.002) as uris:
        ours = {
            what: bench.ours(uris, what, **options)
            for what, options in (("minimal", MINIMAL), ("full", {}))
        }
        runs = {"empty": [str(empty)], "theirs": bench.theirs(uris)}
        for what, file in ours.items():
            runs[what] = [file]
            runs[f"{what}, from memory"] = [bench.floor(file)]
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _turn in range(ROUNDS):
            for name, files in runs.items():
                times[name].append(bench.process(*files).seconds)
    return [figure for what in ours for figure in _compared(what, times)]


def _compared(what: str, times: Mapping[str, Sequence[float]]) -> Iterator[Figure]:
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    memory = f"{what}, from memory"
    ratios = [theirs / ours for theirs, ours in zip(times["theirs"], times[what])]
    how = (
        f"4 x 50 at 2 ms: {median[what]:.2f} s against {median['theirs']:.2f} s;"
        f" empty {median['empty']:.2f} s; {ROUNDS} rounds"
    )
    name = f"ansible-inventory --list, {what}"
    yield figures.at_least(f"{name}: times faster", statistics.median(ratios), 4, how)
    for label, run in ((name, what), (f"{name}, the same hosts and variables from memory", memory)):
        above = statistics.median(
            seconds - nothing for seconds, nothing in zip(times[run], times["empty"])
        )
        shown = f"{label}: seconds above empty"
        if run == memory:
            yield figures.reported(shown, above, "what ansible-core itself takes for them")
        else:
            yield figures.at_most(shown, above, 0.25, how)


def calls(bench: Bench) -> list[Figure]:
    """Count the calls of libvirt's protocol for one host with 50 domains."""
    found = []
    port = bench.fleet.daemons[0].port
    for what, options, goal in (
        ("minimal", MINIMAL, 6),
        ("full, addresses aside", {"gather": "full", "address_sources": []}, 6 + 50),
    ):
        with proxied(port) as proxy:
            uri = f"test+tcp://127.0.0.1:{proxy.port}/default"
            bench.process(bench.ours([uri], **options))
            how = ", ".join(f"{name} {count}" for name, count in proxy.named().items())
            name = f"libvirt calls, one host x 50 domains, {what}"
            found.append(figures.at_most(name, proxy.calls.total(), goal, how))
    return found


def silent_hosts(bench: Bench) -> list[Figure]:
    """See what three silent hosts among 32 add."""
    options = {"host_timeout": TIMEOUT, **MINIMAL}
    with contextlib.ExitStack() as stack:
        uris = stack.enter_context(hosts.delayed(bench.fleet.daemons[:32], 0.002))
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _turn in range(3)
        ]
        silent = [f"qemu+tcp://127.0.0.1:{s.getsockname()[1]}/system" for s in servers]
        pairs = [
            [
                bench.rounds(1, bench.ours(group, **options), [])[0][0]
                for group in (uris, [*silent, *uris[3:]])
            ]
            for _turn in range(3)
        ]
    added = statistics.median(with_silent - without for without, with_silent in pairs)
    how = f"host_timeout {TIMEOUT:g} s, medians of 3"
    return [figures.at_most("3 silent hosts among 32: seconds added", added, TIMEOUT, how)]


def growth(bench: Bench) -> tuple[list[Figure], dict[str, list[tuple[int, float]]]]:
    """Measure whole processes with more and more hosts, and with more and more domains."""
    by_hosts, by_domains = [], []
    for domains in (25, 50, 100, 200):
        bench.fleet.fill(10, domains)
        with hosts.delayed(bench.fleet.daemons[:10], 0.002) as uris:
            by_domains.append((domains, bench.process(bench.ours(uris, **FULL)).seconds))
    bench.fleet.fill(MANY, 100)
    for number in (1, 10, 25, 50, MANY):
        with hosts.delayed(bench.fleet.daemons[:number], 0.002) as uris:
            last = bench.process(bench.ours(uris, **FULL))
            by_hosts.append((number, last.seconds))
    with hosts.delayed(bench.fleet.daemons, 0.002) as uris:
        minimal = bench.process(bench.ours(uris, **MINIMAL))
    how = f"{MANY} hosts x 100 domains at 2 ms, ansible-inventory --list"
    found = [
        figures.reported(f"{how}, {what}: {unit}", value, how)
        for what, process in (("full", last), ("minimal", minimal))
        for unit, value in (("seconds", process.seconds), ("peak MiB", process.memory_mib))
    ]
    return found, {"hosts": by_hosts, "domains": by_domains}


def document(found: Sequence[Figure], grown: dict[str, list[tuple[int, float]]]) -> None:
    """Write the table and the plot."""
    plot.draw(PLOT, grown)
    load = os.getloadavg()[2]
    DOCUMENT.write_text(
        f"""<!--
SPDX-FileCopyrightText: Maglica contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by `make bench-listing`.
-->
# How long listing takes

Measured with {os.cpu_count()} CPUs, Python {platform.python_version()}, ansible-core 2.19: the
inventory plugin of this collection beside `community.libvirt`'s, on the same real libvirtds (with
libvirt's test driver), through proxies that add the latency of a network. Hosts, proxies and
Ansible share the CPUs. Ratios are medians of the rounds' ratios. Load while it ran: {load:.1f}.

{figures.table(found)}

![Seconds by hosts and by domains]({PLOT.name})

The plot shows a whole `ansible-inventory --list` with everything read, at 2 ms: 100 domains a host
on the left, 10 hosts on the right.
"""
    )


def main() -> int:
    found: list[Figure] = []
    with hosts.running(MANY) as fleet, tempfile.TemporaryDirectory() as folder:
        bench = Bench(fleet, Path(folder))
        fleet.fill(32, 50)
        names = "names, states, groups"
        facts = "with addresses, interfaces, metadata"
        found += plugin_time(bench, 4, 0.002, ROUNDS, (names, MINIMAL, 25), (facts, FULL, 8))
        # The other plugin takes most of a minute for it.
        found += plugin_time(bench, 32, 0.005, 1, (names, MINIMAL, 100))
        found += whole_process(bench)
        found += calls(bench)
        found += silent_hosts(bench)
        last, grown = growth(bench)
        found += last
    figures.write("listing", found)
    document(found, grown)
    print(figures.table(found))
    return 1 if any(figure.met is False for figure in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
