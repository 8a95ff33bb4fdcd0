# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access file as the role library makes it of the registered keys."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.documents import CHECKOUT

SCRIPT = (CHECKOUT / "roles" / "library" / "files" / "assemble.py").read_text()


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    folder = tmp_path / "access.d"
    folder.mkdir()
    (folder / "host-kvm0").write_text("host kvm0 KEY0\n")
    (folder / "client-alice").write_text("client alice KEY1")
    (folder / ".host-kvm1.half").write_text("host kv")
    return folder


def started(folder: Path, mode: str = "make") -> subprocess.Popen[str]:
    command = [sys.executable, "-Ic", SCRIPT, folder, folder.with_name("access"), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, umask=0o077)


def assembled(folder: Path, mode: str = "make") -> dict[str, Any]:
    output, _none = started(folder, mode).communicate()
    answer: dict[str, Any] = json.loads(output)
    return answer


def test_where_there_are_no_keys_any_more_it_makes_nothing(tmp_path: Path) -> None:
    assert assembled(tmp_path / "access.d") == {"changed": False, "size": 0}
    assert not list(tmp_path.iterdir())


def test_it_has_all_keys_and_is_written_where_that_is_new(registered: Path) -> None:
    access = registered.with_name("access")
    assert assembled(registered, "check")["changed"]
    assert not access.exists()
    text = "client alice KEY1\nhost kvm0 KEY0\n"
    assert assembled(registered) == {"changed": True, "size": len(text)}
    assert access.read_text() == text
    assert access.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in registered.parent.iterdir()) == ["access", "access.d"]
    assert not assembled(registered)["changed"]
    for path in registered.iterdir():
        path.unlink()
    assert assembled(registered) == {"changed": True, "size": 0}


def test_check_mode_foresees_it_where_nothing_is_there(tmp_path: Path) -> None:
    assert assembled(tmp_path / "access.d", "check")["changed"]


def test_a_key_that_another_play_takes_away_meanwhile_is_not_written_back(registered: Path) -> None:
    lock = os.open(registered, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    other = started(registered)
    while f"-> FLOCK  ADVISORY  WRITE {other.pid} " not in Path("/proc/locks").read_text():
        assert other.poll() is None
        time.sleep(0.01)
    (registered / "client-alice").unlink()
    os.close(lock)
    assert other.wait() == 0
    assert registered.with_name("access").read_text() == "host kvm0 KEY0\n"
