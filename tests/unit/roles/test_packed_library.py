# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library as a role packs it here and unpacks it on another machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
FILES = CHECKOUT / "roles" / "library" / "files"
LIBRARY = CHECKOUT / "plugins" / "module_utils" / "maglica"


def pack(library: Path) -> dict[str, str]:
    command = [sys.executable, FILES / "pack.py", library]
    packed: dict[str, str] = json.loads(subprocess.check_output(command))
    return packed


def unpack(archive: str, folder: Path, how: str = "make") -> bool:
    """Unpack with a umask that shuts out all others; return whether something was to be changed."""
    command = [sys.executable, "-Ic", (FILES / "unpack.py").read_text(), folder, how]
    done = subprocess.run(
        command, input=archive, text=True, capture_output=True, umask=0o077, check=True
    )
    return done.stdout.strip() == "changed"


def python_files(library: Path) -> dict[Path, bytes]:
    return {path.relative_to(library): path.read_bytes() for path in library.rglob("*.py")}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small library that can be changed."""
    made = tmp_path / "maglica"
    for name in ("run.py", "wire/keys.py", "cli/main.py"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(f"'''{name}'''\n")
    return made


def test_what_is_unpacked_is_what_was_packed_and_everybody_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "version"
    assert unpack(pack(LIBRARY)["archive"], folder)
    assert python_files(folder / "maglica") == python_files(LIBRARY)
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o644 if path.is_file() else 0o755)


def test_what_is_there_and_right_stays_and_the_rest_is_mended(
    library: Path, tmp_path: Path
) -> None:
    archive, folder = pack(library)["archive"], tmp_path / "version"
    assert unpack(archive, folder)
    assert not unpack(archive, folder)
    copy = folder / "maglica"

    def check() -> None:
        assert unpack(archive, folder)
        assert python_files(copy) == python_files(library)
        assert not unpack(archive, folder)

    (copy / "cli" / "main.py").unlink()
    check()
    (copy / "cli" / "main.py").write_text("half")
    check()
    shutil.rmtree(copy / "wire")
    check()
    (copy / "wire").chmod(0o700)
    check()
    (copy / "run.py").chmod(0o600)
    check()


def test_check_mode_says_what_would_change_and_changes_nothing(
    library: Path, tmp_path: Path
) -> None:
    archive, folder = pack(library)["archive"], tmp_path / "version"
    assert unpack(archive, folder, "check")
    assert not folder.exists()
    unpack(archive, folder)
    assert not unpack(archive, folder, "check")
    (folder / "maglica" / "run.py").unlink()
    assert unpack(archive, folder, "check")
    assert not (folder / "maglica" / "run.py").exists()


def test_a_version_is_its_content(library: Path) -> None:
    first = pack(library)
    for path in library.rglob("*"):
        path.touch()
    (library / "note.txt").write_text("no code")
    assert pack(library) == first
    (library / "run.py").write_text("changed\n")
    assert pack(library)["version"] != first["version"]
