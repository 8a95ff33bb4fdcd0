# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measure of plugins/, on a small made-up collection whose figures can be counted by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.arrows import file_arrows, read, room_arrows
from tools import house

LIB = "module_utils/maglica"
TESTS = Path(__file__).resolve().parents[2]
SIX = "one = 1\ntwo = 2\n\nthree = 3\nfour = 4\nfive = 5\nsix = 6\n"
FILES = {
    f"{LIB}/_deps.py": "zmq = None\n",
    f"{LIB}/model/vm.py": SIX,
    # Imports stand wherever they are needed, and are not counted as standing twice.
    f"{LIB}/wire/client.py": (
        "from .. import _deps\ndef ask():\n    from ..model.vm import one\n\n    return one\n"
    ),
    f"{LIB}/wire/keys.py": (
        f"from ..model import (\n    host,\n)\nfrom .client import ask\nzero = 0\n{SIX}seven = 7\n"
    ),
    f"{LIB}/model/host.py": "from ..wire import keys\n",
    f"{LIB}/worker/main.py": "from . import step\n",
    f"{LIB}/worker/step.py": "from ..wire.client import ask\n",
    "modules/maglica_vm.py": (
        "from ansible_collections.maglica.cloud.plugins.module_utils.maglica.wire import client\n"
        "import ansible.module_utils.basic\n"
        "class Task:\n"
        "    def run(self):\n"
        "        def inner():\n"
        "            return 1\n"
        "        return inner\n"
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "plugins" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_arrows_lead_from_room_to_room(root: Path) -> None:
    assert room_arrows(file_arrows(read(root))) == {
        "maglica": set(),
        "model": {"wire"},
        "modules": {"wire"},
        "wire": {"maglica", "model"},
        "worker": {"wire"},
        "worker/main": {"worker"},
    }


def test_lines_that_stand_twice_are_found_with_their_places(root: Path) -> None:
    assert house.twice(read(root)) == [
        house.Twice(f"{LIB}/model/vm.py:1", f"{LIB}/wire/keys.py:6", lines=6)
    ]


def test_imports_do_not_stand_twice(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        file = tmp_path / "plugins/modules" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import re\nfrom os import (\n    a,\n    b,\n    c,\n)\n")
    assert house.twice(read(tmp_path)) == []


def test_lines_that_repeat_themselves_do_not_stand_twice_in_one_place(tmp_path: Path) -> None:
    file = tmp_path / "plugins/modules/a.py"
    file.parent.mkdir(parents=True)
    file.write_text("x = 1\n" * 11)
    assert house.twice(read(tmp_path)) == []
    file.write_text("x = 1\n" * 12)
    assert [each.lines for each in house.twice(read(tmp_path))] == [6]


def test_the_command_measures_the_checkout_that_it_is_given(root: Path) -> None:
    assert run("--root", str(root)).splitlines() == [
        "== the library",
        "files  lines  folder",
        "    1      1  module_utils/maglica",
        "    2      8  module_utils/maglica/model",
        "    2     18  module_utils/maglica/wire",
        "    2      2  module_utils/maglica/worker",
        "    7     29  all",
        "files in the largest folder: 2 (module_utils/maglica/model)",
        "lines of the longest file: 13 (module_utils/maglica/wire/keys.py)",
        "lines of the longest function: 4 (module_utils/maglica/wire/client.py: ask)",
        "",
        "== the rest of plugins/",
        "files  lines  folder",
        "    1      7  modules",
        "    1      7  all",
        "files in the largest folder: 1 (modules)",
        "lines of the longest file: 7 (modules/maglica_vm.py)",
        "lines of the longest function: 4 (modules/maglica_vm.py: Task.run)",
        "",
        "== imports",
        "between files: 8",
        "circles of files: 1",
        f"  {LIB}/model/host.py, {LIB}/wire/keys.py",
        "rooms: 6 (the folders, and each main.py)",
        "circles of rooms: 1",
        "  model, wire",
        "arrows between rooms: 6",
        "  model -> wire",
        "  modules -> wire",
        "  wire -> maglica model",
        "  worker -> wire",
        "  worker/main -> worker",
        "",
        "== 6 or more lines that stand twice",
        "pairs of places in the library: 1",
        "pairs of places in all of plugins/: 1",
        f"  6 lines: {LIB}/model/vm.py:1 and {LIB}/wire/keys.py:6",
    ]


def test_files_of_commits_are_counted_once_without_tests_and_documents(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "plugins/a.py", "plugins/b.py")
    commit(tmp_path, "plugins/a.py", "tests/unit/test_a.py", "docs/a.md", "README.md")
    commit(tmp_path, "plugins/a.py", "roles/a/tasks/main.yml", "changelogs/fragments/a.yml")
    root = ("--root", str(tmp_path))
    assert run(*root, "--commit", "HEAD~1").splitlines() == [
        "files changed, tests and documents aside: 1",
        "  plugins/a.py",
    ]
    both = [
        "files changed, tests and documents aside: 2",
        "  plugins/a.py",
        "  roles/a/tasks/main.yml",
    ]
    assert run(*root, "--commit", "HEAD~2..HEAD").splitlines() == both
    assert run(*root, "--commit", "HEAD~1", "HEAD").splitlines() == both


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "tools.house", *arguments]
    return subprocess.run(command, cwd=TESTS, check=True, stdout=subprocess.PIPE, text=True).stdout


def commit(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{file.read_text() if file.exists() else ''}a line\n")
    git(root, "add", "--all")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.jp")
    git(root, *who, "commit", "--quiet", "--no-gpg-sign", "--message", "Change it")


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", root, *arguments], check=True)
