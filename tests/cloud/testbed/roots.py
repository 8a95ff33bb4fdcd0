# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts, and the bare machine, start from."""

from __future__ import annotations

from pathlib import Path

from support import debian_root
from support.debian_root import Recipe
from support.run import CHECKOUT

HERE = Path(__file__).parent

# What the roles install besides is there beforehand, so that no cloud has to wait for it.
_HOST_PACKAGES = (
    "systemd-sysv dbus udev procps iproute2 openssh-server sudo python3 python3-apt "
    "linux-image-cloud-amd64 libguestfs-tools"
)
_TABLE = CHECKOUT / "roles/library/vars/main.yml"
# What a newcomer's machine is known to have; apt is there anyway.
_BARE_PACKAGES = "systemd-sysv git make ca-certificates"
# What a machine has that Ansible can log in to; a kernel is on each, though a container runs none.
_PLAIN_PACKAGES = "systemd-sysv dbus openssh-server sudo python3 linux-image-cloud-amd64"


def role_packages(system: str = "debian-12") -> set[str]:
    """Return what the roles install on a host, by their own table."""
    # Here, since whoever makes a root has seen to it that it is installed.
    import yaml

    packages = yaml.safe_load(_TABLE.read_text())["library_systems"][system]["packages"]
    return {package for role in packages.values() for package in role}


def host_recipe() -> Recipe:
    """Return the recipe of the root that all hosts share."""
    packages = {*_HOST_PACKAGES.split(), *role_packages()}
    return Recipe(tuple(sorted(packages)), HERE / "host-root.sh")


def host_root(cache: Path) -> Path:
    """Return the hosts' root, made first if it is not in `cache`."""
    return debian_root.make("host", host_recipe(), cache)


def bare_root(cache: Path) -> Path:
    """Return the root of a bare machine, made first if it is not in `cache`."""
    recipe = Recipe(tuple(_BARE_PACKAGES.split()), HERE / "bare-root.sh")
    return debian_root.make("bare", recipe, cache)


def plain_root(cache: Path, suite: str) -> Path:
    """Return the root of a machine where Debian has just been installed, made if need be."""
    recipe = Recipe(tuple(_PLAIN_PACKAGES.split()), HERE / "plain-root.sh", suite=suite)
    return debian_root.make(f"plain-{suite}", recipe, cache)


def forget_older(cache: Path, keep: tuple[Path, ...]) -> None:
    """Remove what earlier recipes made. Nothing may run on it any more."""
    debian_root.forget_older(cache, ("host", "bare", "plain"), keep)
