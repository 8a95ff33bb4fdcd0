# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times what two inventory plugins take to parse their files, alternating, in one process.

``python -m bench.probe ROUNDS FOUND OURS THEIRS…`` prints one JSON list, of [ours, theirs] in
seconds for each round, after a first one that does not count. Each round checks that both found
so many inventory hosts; without THEIRS, theirs is null.
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


def parse(plugin: str, files: Sequence[str], found: int) -> float:
    """Return how long it took to parse the files, which must have so many inventory hosts."""
    inventory = InventoryData()
    loader = DataLoader()
    started = time.perf_counter()
    for file in files:
        inventory_loader.get(plugin).parse(inventory, loader, file, cache=False)
    seconds = time.perf_counter() - started
    if len(inventory.hosts) != found:
        raise SystemExit(f"{plugin}: {len(inventory.hosts)} hosts instead of {found}")
    return seconds


def main(arguments: Sequence[str]) -> None:
    rounds, found, ours, *theirs = arguments
    init_plugin_loader([])
    results: list[list[float | None]] = []
    for _turn in range(int(rounds) + 1):
        seconds = parse(OURS, [ours], int(found))
        results.append([seconds, parse(THEIRS, theirs, int(found)) if theirs else None])
    print(json.dumps(results[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
