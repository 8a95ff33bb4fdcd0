# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all stages of `make test`, up to the first that fails, and say how long each took.

The cloud comes up while the linters run, and is taken down in the end unless it was up before.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LOG = CHECKOUT / "build" / "cloud-up.log"
CLOUD = [sys.executable, "tests/cloud/cloud.py"]
# pytest's closing line: "12 passed, 1 skipped in 3.10s".
OUTCOME = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)")


class StageFailedError(Exception):
    """A stage found something wrong."""


class Report:
    """Seconds by stage, and pytest's counts over all of them."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.counts: Counter[str] = Counter()

    def run(self, stage: str, *command: str) -> None:
        """Run a stage, pass its output through and count its tests."""
        print(f"\n=== {stage}", flush=True)
        start = time.monotonic()
        with subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            last = ""
            try:
                for line in process.stdout or ():
                    print(line, end="", flush=True)
                    last = line if re.search(r" in \d+\.\d+s", line) else last
            except BaseException:
                process.terminate()
                raise
        self.seconds[stage] = time.monotonic() - start
        for number, word in OUTCOME.findall(last):
            self.counts[word.rstrip("s")] += int(number)
        if process.returncode:
            raise StageFailedError(stage)

    def wait(self, stage: str, process: subprocess.Popen[bytes]) -> None:
        """Wait for what runs in the background; show its log only when it failed."""
        print(f"\n=== {stage}", flush=True)
        process.wait()
        self.seconds[stage] = time.monotonic() - self.start
        if process.returncode:
            print(LOG.read_text(), flush=True)
            raise StageFailedError(stage)

    def print(self, broken: StageFailedError | None) -> None:
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


@contextmanager
def cloud() -> Iterator[subprocess.Popen[bytes]]:
    """Bring the cloud up in the background; take it down again if it was not up before."""
    status = subprocess.run([*CLOUD, "status"], cwd=CHECKOUT, check=False, capture_output=True)
    was_up = status.returncode == 0
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            ["make", "cloud"],
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            # make and all that it has started so far, to the last package being unpacked.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        if not was_up:
            subprocess.run([*CLOUD, "down"], cwd=CHECKOUT, check=True)


def main() -> int:
    """Run the stages; 1 if one failed."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(1))
    report = Report()
    broken = None
    try:
        with cloud() as coming_up:
            report.run("lint", "make", "lint")
            report.run("test-unit", "make", "test-unit")
            # Integration tests measure time: they want the machine for themselves.
            report.wait("cloud", coming_up)
            report.run("test-integration", "make", "test-integration")
            report.run("test-faults", "make", "test-faults-short")
            report.run("test-cloud", "make", "test-cloud")
    except StageFailedError as error:
        broken = error
    report.print(broken)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
