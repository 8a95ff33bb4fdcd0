# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the script that ansible-test downloads to put pip into its environments.

It takes the same arguments and needs nothing but the pip that comes with Python and an index.
"""

from __future__ import annotations

import subprocess
import sys

PIP = [sys.executable, "-m", "pip", "install", "--quiet"]

packages = sys.argv[1:]
for extra in ("setuptools", "wheel"):
    option = f"--no-{extra}"
    if option in packages:
        packages.remove(option)
    else:
        packages.append(extra)

subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.exit(subprocess.run([*PIP, *packages], check=False).returncode)
