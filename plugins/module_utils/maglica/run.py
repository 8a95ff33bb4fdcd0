# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a program of this library: ``python3 …/maglica/run.py maglica.cli.main image list``.

``python3 -m`` would look for every module in the current folder first, which may be anybody's. What
is started here is taken from the folder that this file is in, whatever the current folder is.
"""

from __future__ import annotations

import runpy
import sys

PROGRAMS = (
    "maglica.cli.main",
    "maglica.client_worker.backup.main",
    "maglica.client_worker.main",
    "maglica.host_worker.job.main",
    "maglica.host_worker.main",
    "maglica.wire.keys",
)


def main() -> int:
    """Run the program that the first argument names, as ``-m`` would; it ends the process."""
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        sys.stderr.write(f"usage: run.py PROGRAM [ARGUMENT ...], PROGRAM one of {PROGRAMS}\n")
        return 2
    # Python has put this file's own folder first, where a part of the package is no module.
    package = __file__.rpartition("/")[0]
    sys.path[:] = [package.rpartition("/")[0], *(path for path in sys.path if path != package)]
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
