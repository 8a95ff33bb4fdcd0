# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all stages of `make test`, or with --all of `make test-all`, and say how long each took.

Two lines of stages run beside each other: the cloud comes up and is tested, while the linters and
those tests run that measure no time. Then each of the others has the machine for itself. The first
stage that fails ends all. The cloud is taken down in the end unless it was up before.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LOG = CHECKOUT / "build" / "cloud-line.log"
CLOUD = [sys.executable, "tests/cloud/cloud.py"]
# pytest's closing line: "== 12 passed, 1 skipped in 3.10s ==", and that of the faults, its like.
CLOSING = re.compile(r"^(?:=+ )?\d+ (?:passed|failed|skipped|error).* in \d+\.\d+s")
OUTCOME = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)")

# What each stage makes. One line of stages beside the other, then those that want to be alone.
CLOUD_LINE = {"cloud": "cloud", "test-cloud": "test-cloud"}
BESIDE_IT = {
    "lint": "lint",
    "test-unit": "test-unit",
    "test-integration": "test-integration-beside",
}
ALONE = {"test-alone": "test-integration-alone", "test-faults": "test-faults-short"}
# With --all: what a stage makes instead, and what is made besides.
LONGER = {"lint": "lint-all"}
MORE = {
    "guests": "guests",
    "test-existing": "test-existing",
    "bench-deploy": "bench-deploy",
    "test-lost-journal": "test-lost-journal",
    "bench-upgrade": "bench-upgrade",
    "bench-restore": "bench-restore",
}


class Report:
    """Seconds by stage, and the counts of tests over all of them."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.counts: Counter[str] = Counter()

    def count(self, line: str) -> None:
        """Count the tests of a stage if this is its closing line."""
        if CLOSING.match(line):
            for number, word in OUTCOME.findall(line):
                self.counts[word.rstrip("s")] += int(number)

    def print(self, broken: str | None) -> None:
        """Print the summary; its last line is the sum of all tests."""
        print("\n=== seconds")
        for stage, seconds in self.seconds.items():
            print(f"{stage:<18}{seconds:7.1f}")
        print(f"{'all':<18}{time.monotonic() - self.start:7.1f}")
        # A stage may fail without a test of its own, such as the linters.
        failed = max(self.counts["failed"] + self.counts["error"], 1 if broken else 0)
        skipped = self.counts["skipped"]
        if broken:
            print(f"broken: {broken}")
        more = f", {skipped} skipped" if skipped else ""
        print(f"{self.counts['passed']} passed, {failed} failed{more}", flush=True)


class Line(threading.Thread):
    """Stages one after the other, in a thread; what they print goes to ``show``.

    ``broken`` is the stage that failed.
    """

    def __init__(self, report: Report, stages: dict[str, str], show: Callable[[str], None]) -> None:
        super().__init__()
        self.broken: str | None = None
        self._report = report
        self._stages = stages
        self._show = show
        self._process: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self._ended = False

    def run(self) -> None:
        for stage, target in self._stages.items():
            self._show(f"\n=== {stage}\n")
            start = time.monotonic()
            with self._starting:
                if self._ended:
                    return
                # A session of its own: with make ends all that it has started.
                self._process = subprocess.Popen(
                    ["make", "--no-print-directory", target],
                    cwd=CHECKOUT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            for line in self._process.stdout or ():
                self._show(line)
                self._report.count(line)
            failed = self._process.wait() != 0
            self._report.seconds[stage] = time.monotonic() - start
            if failed:
                self.broken = stage
                return

    def end(self) -> None:
        """End it with the stage that it is at."""
        with self._starting:
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGTERM)
        self.join()


def run(*lines: Line) -> str | None:
    """Run lines beside each other; return the stage that failed, which ends the others too."""
    for line in lines:
        line.start()
    broken = None
    try:
        while broken is None and any(line.is_alive() for line in lines):
            for line in lines:
                line.join(0.1)
                broken = broken or line.broken
    finally:
        for line in lines:
            line.end()
    return broken or next((line.broken for line in lines if line.broken), None)


@contextmanager
def cloud_as_before() -> Iterator[None]:
    """Take the cloud down again if it was not up before."""
    status = subprocess.run([*CLOUD, "status"], cwd=CHECKOUT, check=False, capture_output=True)
    try:
        yield
    finally:
        if status.returncode:
            subprocess.run([*CLOUD, "down"], cwd=CHECKOUT, check=True)


def show(text: str) -> None:
    print(text, end="", flush=True)


def run_stages(report: Report, longer: bool) -> str | None:
    """Run all stages; return the one that failed."""
    beside, alone = BESIDE_IT, ALONE
    if longer:
        beside, alone = {**BESIDE_IT, **LONGER}, {**ALONE, **MORE}
    with LOG.open("w+") as log:
        cloud = Line(report, CLOUD_LINE, log.write)
        broken = run(Line(report, beside, show), cloud)
        # What is shown comes in one piece, when nothing else is shown any more.
        if broken in (None, cloud.broken):
            log.seek(0)
            show(log.read())
    return broken or run(Line(report, alone, show))


def main(words: list[str]) -> int:
    """Run the stages; 1 if one failed."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(1))
    report = Report()
    with cloud_as_before():
        broken = run_stages(report, "--all" in words)
    report.print(broken)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
