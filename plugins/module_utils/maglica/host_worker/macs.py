# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MAC addresses of this host's domains, as the worker's newest report has found them: a file,
so that a job that makes one up need not ask libvirtd for each definition anew.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

FILE = "macs"


def write(state_dir: Path, macs: Collection[str]) -> None:
    """Note them. Raises OSError."""
    draft = state_dir / f"{FILE}.new"
    draft.write_text("".join(f"{mac}\n" for mac in sorted(macs)))
    draft.replace(state_dir / FILE)


def read(state_dir: Path) -> frozenset[str] | None:
    """Return them; None if they are not known."""
    try:
        return frozenset((state_dir / FILE).read_text().split())
    except (OSError, ValueError):
        return None
