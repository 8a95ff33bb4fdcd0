# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user with no rights, who has a copy of the collection, an observer's key and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from maglica.config.config import ClientWorker
from maglica.wire.keys import KeyPair
from support import listing

# That of "nobody" and "nogroup".
ID = 65534
# Found before all other modules of that name: Python imports it when it starts.
_WITHOUT = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(f"there is no {{name}} here")


sys.meta_path.insert(0, Refuse())
"""


class ObservingUser:
    """The user's folder, readable by all, with a home in it. To be closed.

    ``python`` runs Ansible; what it needs besides is in ``environment``.
    """

    def __init__(self, checkout: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="maglica-user-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.home.mkdir()
        os.chown(self.home, ID, ID)
        collection = self.folder / "ansible_collections" / "maglica" / "cloud"
        collection.mkdir(parents=True)
        left_out = shutil.ignore_patterns("__pycache__")
        for name in ("plugins", "meta"):
            shutil.copytree(checkout / name, collection / name, ignore=left_out)
        shutil.copy(checkout / "galaxy.yml", collection)
        self.python = "/usr/bin/python3"
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def lend_packages(self, site: Path, packages: Sequence[str], without: Sequence[str]) -> None:
        """Copy installed packages for Debian's own Python, which can't import ``without`` then."""
        path = self.folder / "packages"
        path.mkdir()
        for package in packages:
            for found in site.glob(package):
                shutil.copytree(found, path / found.name, symlinks=True)
        (path / "sitecustomize.py").write_text(_WITHOUT.format(names=set(without)))
        self.environment["PYTHONPATH"] = str(path)

    def own(self, name: str, content: bytes | str) -> Path:
        """Write a file in the user's home that nobody else may read."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        for each in (path, path.parent):
            os.chown(each, ID, ID)
        return path

    def configure(self, where: ClientWorker, pair: KeyPair) -> Path:
        """Write the least configuration that there is, and the key."""
        key = self.own("observer.key", pair.secret)
        lines = ["[client_worker]", f"address = {where.address}"]
        lines += [f"request_port = {where.request_port}", f"public_key = {where.public_key}"]
        lines += ["[library]", f"secret_key_file = {key}", ""]
        return self.own("maglica.conf", "\n".join(lines))

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the user's Python with these arguments, with no rights and without /proc."""
        alone = 'mount -t tmpfs none /proc && exec "$@"'
        drop = ["setpriv", f"--reuid={ID}", f"--regid={ID}", "--clear-groups", "--no-new-privs"]
        drop += ["--bounding-set=-all", "--inh-caps=-all"]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", alone, "sh", *drop, self.python, *arguments],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def inventory(self, path: Path) -> tuple[Mapping[str, dict], str]:
        """Return the variables by host that ansible-inventory lists, and its warnings."""
        done = self.run("-m", "ansible", "inventory", "--inventory", str(path), "--list")
        assert done.returncode == 0, done.stderr
        return listing.loads(done.stdout)["_meta"]["hostvars"], " ".join(done.stderr.split())
