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
import os
import platform
import socket
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import figures
from support.figures import CHECKOUT, Figure
from support.latency import proxied

from . import hosts, plot
from .listing_runs import Bench
from .reporting import reporting

DOCUMENT = CHECKOUT / "docs" / "performance-listing.md"
PLOT = CHECKOUT / "docs" / "performance-listing.svg"
MANY = 100
DOMAINS = 50
ROUNDS = 7
TIMEOUT = 2.0
# No host may be given up where it is measured how long all of them take.
PATIENCE = 600.0
FULL = {"gather": "full", "address_sources": ["lease"]}
MINIMAL = {"gather": "minimal"}
LEASES = (
    "the test driver is asked for each running domain's lease, QEMU's for each network's leases"
)


# What is read, the options for it, and how many times faster it shall be.
Case = tuple[str, dict[str, Any], float]


def plugin_time(bench: Bench, number: int, delay: float, rounds: int, *cases: Case) -> list[Figure]:
    """Compare the plugins on so many hosts."""
    found = []
    with hosts.delayed(bench.fleet.daemons[:number], delay) as uris:
        for what, options, goal in cases:
            ours, theirs = bench.ours(uris, **options), bench.theirs(uris)
            times = bench.rounds(rounds, ours, theirs, found=number * DOMAINS)
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
            runs[f"{what}, from memory"] = [bench.floor(file, 4 * DOMAINS)]
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _turn in range(ROUNDS):
            for name, files in runs.items():
                found = 0 if name == "empty" else 4 * DOMAINS
                times[name].append(bench.process(*files, found=found).seconds)
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
        # Every other one is off: only its definition tells an image from an adopted vm.
        ("minimal", MINIMAL, 6 + DOMAINS // 2),
        ("full, addresses aside", {"gather": "full", "address_sources": []}, 6 + DOMAINS),
        ("full, default address_sources", {}, None),
    ):
        with proxied(port) as proxy:
            uri = f"test+tcp://127.0.0.1:{proxy.port}/default"
            bench.process(bench.ours([uri], **options), found=DOMAINS)
            how = ", ".join(f"{name} {count}" for name, count in proxy.named().items())
            name = f"libvirt calls, one host x {DOMAINS} domains, {what}"
            if goal is None:
                found.append(figures.reported(name, proxy.calls.total(), f"{how}; {LEASES}"))
            else:
                found.append(figures.at_most(name, proxy.calls.total(), goal, how))
    return found


def silent_hosts(bench: Bench) -> list[Figure]:
    """See what three silent hosts among 32 add."""
    options = {"host_timeout": TIMEOUT, "on_host_error": "warn", **MINIMAL}
    with contextlib.ExitStack() as stack:
        uris = stack.enter_context(hosts.delayed(bench.fleet.daemons[:32], 0.002))
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _turn in range(3)
        ]
        silent = [f"qemu+tcp://127.0.0.1:{s.getsockname()[1]}/system" for s in servers]
        pairs = [
            [
                bench.rounds(1, bench.ours(group, **options), [], found=answering * DOMAINS)[0][0]
                for group, answering in ((uris, 32), ([*silent, *uris[3:]], 29))
            ]
            for _turn in range(3)
        ]
    added = statistics.median(with_silent - without for without, with_silent in pairs)
    how = f"host_timeout {TIMEOUT:g} s, medians of 3"
    return [figures.at_most("3 silent hosts among 32: seconds added", added, TIMEOUT, how)]


def growth(bench: Bench) -> tuple[list[Figure], dict[str, list[tuple[int, float]]]]:
    """Measure whole processes with more and more hosts, and with more and more domains."""
    by_hosts, by_domains = [], []
    full, minimal = ({**options, "host_timeout": PATIENCE} for options in (FULL, MINIMAL))
    for domains in (25, 50, 100, 200):
        bench.fleet.fill(10, domains)
        with hosts.delayed(bench.fleet.daemons[:10], 0.002) as uris:
            whole = bench.process(bench.ours(uris, **full), found=10 * domains)
            by_domains.append((domains, whole.seconds))
    bench.fleet.fill(MANY, 100)
    for number in (1, 10, 25, 50, MANY):
        with hosts.delayed(bench.fleet.daemons[:number], 0.002) as uris:
            last = bench.process(bench.ours(uris, **full), found=number * 100)
            by_hosts.append((number, last.seconds))
    with hosts.delayed(bench.fleet.daemons, 0.002) as uris:
        least = bench.process(bench.ours(uris, **minimal), found=MANY * 100)
    how = f"{MANY} hosts x 100 domains at 2 ms, ansible-inventory --list"
    found = [
        figures.reported(f"{how}, {what}: {unit}", value, how)
        for what, process in (("full", last), ("minimal", least))
        for unit, value in (("seconds", process.seconds), ("peak MiB", process.memory_mib))
    ]
    return found, {"hosts": by_hosts, "domains": by_domains}


def reports(bench: Bench) -> list[Figure]:
    """Compare what the client worker tells with libvirt, and with what Ansible itself takes."""
    found = []
    bench.fleet.fill(4, DOMAINS)
    with reporting(bench.folder / "few") as few:
        few.report(bench.fleet.daemons[:4])
        with hosts.delayed(bench.fleet.daemons[:4], 0.002) as uris:
            runs = {"libvirt": bench.ours(uris), "client_worker": bench.reported(few.config)}
            times = _alternating(bench, runs, ROUNDS, 4 * DOMAINS)
    ratio = statistics.median(
        libvirt / reported for libvirt, reported in zip(times["libvirt"], times["client_worker"])
    )
    own, other = (statistics.median(times[run]) for run in ("client_worker", "libvirt"))
    how = f"{own:.2f} s against {other:.2f} s; {ROUNDS} rounds"
    name = "ansible-inventory --list, 4 x 50 at 2 ms, source: client_worker: times libvirt's speed"
    found.append(figures.at_least(name, ratio, 1, how))
    bench.fleet.fill(MANY, 100)
    with reporting(bench.folder / "many") as many:
        told = many.report(bench.fleet.daemons[:MANY])
        ours = bench.reported(many.config)
        runs = {"client_worker": ours, "from memory": bench.floor(ours, MANY * 100)}
        times = _alternating(bench, runs, 3, MANY * 100)
    own, floor = (statistics.median(times[run]) for run in runs)
    how = f"{own:.1f} s against {floor:.1f} s, what ansible-core itself takes for them; 3 rounds"
    name = (
        f"ansible-inventory --list, {MANY} x 100, source: client_worker: times ansible-core's own"
    )
    found.append(figures.at_most(name, own / floor, 2, how))
    how = "one host x 100 domains, the message's frames before encryption"
    for what, size, goal in (
        ("nothing has changed", told.quiet, 800),
        ("one domain has changed", told.changed, 4096),
    ):
        found.append(figures.at_most(f"a report when {what}: bytes", size, goal, how))
    found.append(figures.reported("a report after a start: bytes", told.whole, how))
    return found


def _alternating(
    bench: Bench, runs: Mapping[str, str], rounds: int, found: int
) -> dict[str, list[float]]:
    """Return what each of the inventory files took in so many rounds, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _turn in range(rounds):
        for name, file in runs.items():
            times[name].append(bench.process(file, found=found).seconds)
    return times


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
Ansible share the CPUs. Ratios are medians of the rounds' ratios. Every run must list every domain
of every host that answers. Load while it ran: {load:.1f}.

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
        fleet.fill(32, DOMAINS)
        names = "names, states, groups"
        facts = "with addresses, interfaces, metadata"
        found += plugin_time(bench, 4, 0.002, ROUNDS, (names, MINIMAL, 25), (facts, FULL, 8))
        # The other plugin takes most of a minute for each.
        found += plugin_time(bench, 32, 0.005, 3, (names, MINIMAL, 100))
        found += whole_process(bench)
        found += calls(bench)
        found += silent_hosts(bench)
        last, grown = growth(bench)
        found += last
        found += reports(bench)
    figures.write("listing", found)
    document(found, grown)
    print(figures.table(found))
    return 1 if any(figure.met is False for figure in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
