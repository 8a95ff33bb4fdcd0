# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine's way to the packages of apt and pip, given to a machine that has nothing yet."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from support.debian_root import SUITE
from support.run import run

# Files and folders that are copied, if they are there.
CONFIGURATION = (
    *("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/apt.conf.d"),
    *(
        "/etc/apt/preferences.d",
        "/etc/apt/trusted.gpg",
        "/etc/apt/trusted.gpg.d",
        "/etc/apt/keyrings",
        "/etc/apt/auth.conf.d",
    ),
    *("/etc/pip.conf", "/etc/xdg/pip", "/root/.config/pip", "/root/.pip"),
    *("/etc/ssl/certs/ca-certificates.crt", "/usr/local/share/ca-certificates"),
)
# Hooks that call programs which a bare machine does not have.
HOOKS = ("20packagekit", "50appstream")
VARIABLES = ("PIP_", "SSL_", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy")


def variables() -> dict[str, str]:
    """Return the variables of this program's environment by which packages are found."""
    return {key: value for key, value in os.environ.items() if key.startswith(VARIABLES)}


def give(upper: Path, suite: str = SUITE) -> list[Path]:
    """Write the configuration into a machine's layer; return the folders that it must see."""
    for source in map(Path, CONFIGURATION):
        target = upper / source.relative_to("/")
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            run("cp", "-rL", source, target)
    for hook in HOOKS:
        (upper / "etc/apt/apt.conf.d" / hook).unlink(missing_ok=True)
    apt = upper / "etc/apt"
    # In the place of what the root was made from.
    (apt / "sources.list").touch()
    for path in (*apt.glob("sources.list"), *apt.glob("sources.list.d/*")):
        path.write_text(path.read_text().replace(SUITE, suite))
    # The layer covers /root, which is private.
    (upper / "root").mkdir(mode=0o700, exist_ok=True)
    return [path for path in _package_folders() if path.is_dir()]


def _package_folders() -> set[Path]:
    """Return the folders on this machine in which pip is told to look for packages."""
    words = " ".join(value for key, value in variables().items() if key.startswith("PIP_"))
    for path in ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "/root/.config/pip/pip.conf"):
        parser = configparser.RawConfigParser()
        parser.read(path)
        words += "".join(f" {value}" for part in parser.values() for value in part.values())
    folders = {word.removeprefix("file://") for word in words.split()}
    # An index refers to the files beside it.
    return {
        path.parent if path.name == "simple" else path
        for path in map(Path, folders)
        if path.is_absolute() and not path.is_relative_to("/etc")
    }
