# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break things, and count what is lost, done twice, let in or left behind.

Each area is a module of this folder with `figures(run)`. Prints a table with the seed and writes
build/figures/faults.json (faults-short.json for the short form). Fails when a goal is not met or
an area breaks.
"""

from __future__ import annotations

import argparse
import importlib
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
sys.path[:0] = [str(LIBRARY)]

from support import figures  # noqa: E402 - after the import path is set
from support.figures import Figure  # noqa: E402

from .frame import Run  # noqa: E402

SHORT_SEED = 1
AREAS = (
    "kills",
    "failpoints",
    "scale",
    "shares",
    "injection",
    "images",
    "access",
    "partitions",
    "eavesdrop",
    "fuzz",
    "disk_full",
    "imports",
    "foreign",
    "cloud",
)


def measure(area: str, short: bool, seed: int) -> Iterator[Figure]:
    """Yield what an area finds; one that breaks is a row of its own."""
    folder = Path(tempfile.mkdtemp(prefix="maglica-faults-"))
    run = Run(area, short, seed, folder)
    try:
        module = importlib.import_module(f".{area}", __package__)
        yield from module.figures(run)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other areas run
        traceback.print_exc()
        yield Figure(f"area {area}", "broken", "runs to its end", False, f"{error!r:.200}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        run.say("done")


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--seed", type=int, help="default: a new one; for the short form, 1")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of: {' '.join(AREAS)}")
    asked = parser.parse_args(words)
    if unknown := set(asked.areas) - set(AREAS):
        parser.error(f"no such area: {' '.join(sorted(unknown))}")
    if asked.seed is None:
        # What `make test` finds must be there the next time.
        asked.seed = SHORT_SEED if asked.short else secrets.randbelow(10**6)
    return asked


def main(words: Sequence[str]) -> int:
    begun = time.monotonic()
    asked = parse(words)
    found: list[Figure] = []
    print(f"SEED={asked.seed}", flush=True)
    for area in asked.areas or AREAS:
        found += measure(area, asked.short, asked.seed)
    figures.write("faults-short" if asked.short else "faults", found)
    print(figures.table(found))
    print(f"SEED={asked.seed} repeats this run")
    unmet = sum(figure.met is False for figure in found)
    met = sum(figure.met is True for figure in found)
    print(f"{met} passed, {unmet} failed in {time.monotonic() - begun:.2f}s", flush=True)
    return 1 if unmet or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
