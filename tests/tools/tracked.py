# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the tracked files of the checkout, as they are now, into a tree of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def copy_tracked(destination: Path) -> Path:
    """Make `destination` a git checkout of nothing but the tracked files, edits included.

    An earlier copy there is replaced. Several tools of the ecosystem want such a tree, in a real
    folder ansible_collections/NAMESPACE/NAME, and take its files from git.
    """
    listing = subprocess.run(
        ["git", "-C", CHECKOUT, "ls-files", "-z"], check=True, capture_output=True, text=True
    ).stdout
    shutil.rmtree(destination, ignore_errors=True)
    for name in filter(None, listing.split("\0")):
        source, target = CHECKOUT / name, destination / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", destination, *command], check=True)
    return destination


if __name__ == "__main__":
    copy_tracked(Path(sys.argv[1]))
