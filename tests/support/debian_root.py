# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of Debian systems, made by mmdebstrap once and kept under a digest of what went into them.

They are made under another name and renamed when complete, so what has its final name is whole.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from support.run import remove_tree, run

SUITE = "bookworm"
_UNREAD = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Recipe:
    """What a root is made of."""

    packages: tuple[str, ...]
    hook: Path
    """The script that finishes the root, which it gets as its first argument."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables that the script reads."""
    suite: str = SUITE

    @property
    def command(self) -> list[str]:
        """mmdebstrap and its options, but for what depends on the checkout's path."""
        return [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
            # The scripts decide what identity stays in a root.
            "--skip=cleanup/reproducible",
            "--include=" + ",".join(self.packages),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _UNREAD),
            '--aptopt=APT::Install-Recommends "false"',
        ]

    @property
    def digest(self) -> str:
        """Changes with anything that the root depends on, but for the archive's versions."""
        return digest(*self.command, self.suite, self.hook.read_text(), repr(self.env))


def digest(*parts: str) -> str:
    """Return some digits that tell these texts from others."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def make(kind: str, recipe: Recipe, cache: Path) -> Path:
    """Return the root of a recipe, made first if it is not in `cache`."""
    final = cache / f"{kind}-{recipe.digest}"
    if not final.exists():
        partial = cache / f"{final.name}.partial"
        remove_tree(partial)
        mmdebstrap(recipe, partial)
        partial.rename(final)
    return final


def mmdebstrap(recipe: Recipe, target: Path) -> None:
    """Make a root. In namespaces of its own, so that a kill leaves no mount and no process."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run(
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *recipe.command,
        f"--customize-hook={recipe.hook}",
        recipe.suite,
        target,
        env={**os.environ, "LC_ALL": "C.UTF-8", **dict(recipe.env)},
    )


def forget_older(cache: Path, kinds: tuple[str, ...], keep: tuple[Path, ...]) -> None:
    """Remove what earlier recipes made. Nothing may run on it any more."""
    for kind in kinds:
        for path in cache.glob(f"{kind}-*"):
            if path not in keep:
                remove_tree(path)
