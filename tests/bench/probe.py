# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times what two inventory plugins take to parse their files, alternating, in one process.

``python -m bench.probe ROUNDS OURS THEIRS…`` prints one JSON list, of [ours, theirs] in seconds
for each round, after a first one that does not count. Each round checks that both found the same
number of hosts; without THEIRS, theirs is null.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, inventory_loader

OURS = "maglica.cloud.maglica"
THEIRS = "community.libvirt.libvirt"


def parse(plugin: str, files: Sequence[str]) -> tuple[float, int]:
    """Return how long it took to parse the files, and the number of inventory hosts."""
    inventory = InventoryData()
    loader = DataLoader()
    started = time.perf_counter()
    for file in files:
        inventory_loader.get(plugin).parse(inventory, loader, file, cache=False)
    return time.perf_counter() - started, len(inventory.hosts)


def main(arguments: Sequence[str]) -> None:
    rounds, ours, *theirs = arguments
    init_plugin_loader([])
    results: list[list[float | None]] = []
    for _turn in range(int(rounds) + 1):
        seconds, hosts = parse(OURS, [ours])
        other = None
        if theirs:
            other, found = parse(THEIRS, theirs)
            if found != hosts:
                raise SystemExit(f"{found} hosts instead of {hosts}")
        results.append([seconds, other])
    print(json.dumps(results[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
