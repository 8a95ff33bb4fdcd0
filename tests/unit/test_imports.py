# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of support/import_rules.py hold for every file of the collection.

Each is also run on a small bad source, so that the rule itself is seen to complain.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest
from support.arrows import LIBRARY_NAME, Source, read
from support.import_rules import (
    MAX_FILES,
    MAX_LINES,
    PURE,
    ROOMS,
    RULES,
    Rule,
    files_stay_small,
    folders_have_no_init,
    library_imports_itself_relatively,
    nothing_is_imported_by_a_name_made_at_run_time,
    only_disk_knows_kinds_of_storage,
    only_one_file_knows_ansible,
    only_the_library_starts_workers,
    pure_files_do_no_io,
    third_parties_come_through_deps,
    third_parties_have_their_rooms,
    walls_stand,
    within,
)

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    sources = read(CHECKOUT)
    assert sources, "no sources found"
    return sources


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, sources: list[Source]) -> None:
    complaints = [complaint for source in sources for complaint in rule(source)]
    assert not complaints, "\n".join(complaints)


def test_folders_stay_small(sources: list[Source]) -> None:
    files = Counter(source.path.parent for source in sources if source.inside)
    assert {folder: count for folder, count in files.items() if count > MAX_FILES} == {}


def test_files_of_tests_stay_small() -> None:
    paths = sorted((CHECKOUT / "tests").rglob("*.py"))
    assert Path(__file__) in paths
    lines = {str(path.relative_to(CHECKOUT)): path.read_text().count("\n") for path in paths}
    assert {path: count for path, count in lines.items() if count >= MAX_LINES} == {}


def test_rooms_are_there(sources: list[Source]) -> None:
    modules = [each.inside[: -len(".py")].replace("/", ".") for each in sources if each.inside]
    for room, others in ROOMS.items():
        for name in (room, *others):
            assert name == "." or any(within(module, name) for module in modules), name


def test_pure_files_are_there(sources: list[Source]) -> None:
    inside = [source.inside for source in sources if source.inside]
    assert [pattern for pattern in PURE if not any(fnmatchcase(i, pattern) for i in inside)] == []


LIB = "module_utils/maglica"
BAD = (
    (only_one_file_knows_ansible, f"{LIB}/model.py", "import ansible.errors"),
    (only_one_file_knows_ansible, f"{LIB}/fleet.py", "def f():\n    from ansible import x"),
    (only_one_file_knows_ansible, "module_utils/other.py", "from ansible.errors import E"),
    (library_imports_itself_relatively, f"{LIB}/fleet.py", "from maglica import model"),
    (library_imports_itself_relatively, f"{LIB}/fleet.py", "from .._ansible import x"),
    (library_imports_itself_relatively, f"{LIB}/a.py", f"import {LIBRARY_NAME}.model"),
    (third_parties_come_through_deps, f"{LIB}/fleet.py", "import libvirt"),
    (third_parties_come_through_deps, f"{LIB}/wire/a.py", "from zmq.utils import z85"),
    (walls_stand, f"{LIB}/host_worker/main.py", "from ..client_worker import journal"),
    (walls_stand, f"{LIB}/client_worker/a.py", "from ..host_worker.journal.journal import J"),
    (walls_stand, f"{LIB}/client_worker/a.py", "from .. import host_worker"),
    (walls_stand, f"{LIB}/client_worker/a.py", "from ..disk import volumes"),
    (walls_stand, f"{LIB}/host_worker/daemon/a.py", "from ..job import main"),
    (walls_stand, f"{LIB}/host_worker/job/vm/a.py", "from ...daemon.outbox import O"),
    (walls_stand, f"{LIB}/host_worker/job/vm/a.py", "from ....wire import frames"),
    (walls_stand, f"{LIB}/guest/network/a.py", "from ...wire import frames"),
    (walls_stand, f"{LIB}/wire/a.py", "from ..fleet import Fleet"),
    (walls_stand, f"{LIB}/wire/a.py", "from ..client_worker.access import A"),
    (walls_stand, f"{LIB}/cli/a.py", "from ..host_worker.journal import journal"),
    (walls_stand, f"{LIB}/run.py", "from .cli import main"),
    (third_parties_have_their_rooms, f"{LIB}/guest/a.py", "from .._deps import zmq"),
    (third_parties_have_their_rooms, f"{LIB}/guest/a.py", "need('libvirt')"),
    (third_parties_have_their_rooms, f"{LIB}/wire/a.py", "import _deps\n_deps.libvirt.open('')"),
    (third_parties_have_their_rooms, f"{LIB}/disk/a.py", "_deps.need('guestfs')"),
    (
        only_the_library_starts_workers,
        "modules/m.py",
        "from ..module_utils.maglica.host_worker import job",
    ),
    (
        only_the_library_starts_workers,
        "inventory/i.py",
        f"from {LIBRARY_NAME} import client_worker",
    ),
    (pure_files_do_no_io, f"{LIB}/model/a.py", "import os"),
    (pure_files_do_no_io, f"{LIB}/model/a.py", "from os import path"),
    (pure_files_do_no_io, f"{LIB}/model/a.py", "from time import monotonic"),
    (pure_files_do_no_io, f"{LIB}/image/a.py", "from urllib.request import urlopen"),
    (pure_files_do_no_io, f"{LIB}/model/a.py", "from pathlib import Path"),
    (pure_files_do_no_io, f"{LIB}/model/a.py", "from ..fleet import Fleet"),
    (pure_files_do_no_io, f"{LIB}/wire/frames.py", "from .._deps import need"),
    (pure_files_do_no_io, f"{LIB}/model/a.py", "x = open('/etc/hosts')"),
    (nothing_is_imported_by_a_name_made_at_run_time, f"{LIB}/a.py", "import importlib"),
    (nothing_is_imported_by_a_name_made_at_run_time, f"{LIB}/a.py", "__import__('os')"),
    (nothing_is_imported_by_a_name_made_at_run_time, "modules/m.py", "eval('1')"),
    (only_disk_knows_kinds_of_storage, f"{LIB}/host_worker/a.py", "x = kind in {'netfs'}"),
    (only_disk_knows_kinds_of_storage, f"{LIB}/host_worker/job/a.py", "x = f'{name}.qcow2'"),
    (only_disk_knows_kinds_of_storage, f"{LIB}/guest/a.py", "run(['qemu-img', 'map'])"),
    (
        only_disk_knows_kinds_of_storage,
        f"{LIB}/host_worker/job/a.py",
        "from ...disk import qemu_img",
    ),
    (folders_have_no_init, f"{LIB}/__init__.py", ""),
    (files_stay_small, f"{LIB}/a.py", "x = 1\n" * MAX_LINES),
)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    BAD,
    ids=[f"{bad[0].__name__}-{number}" for number, bad in enumerate(BAD)],
)
def test_rule_complains(rule: Rule, path: str, text: str) -> None:
    assert len(list(rule(Source(PurePosixPath(path), text)))) == 1


def test_every_rule_is_seen_to_complain() -> None:
    assert {bad[0] for bad in BAD} == set(RULES)


GOOD = (
    ("module_utils/_ansible.py", "from ansible.module_utils.basic import AnsibleModule"),
    (f"{LIB}/fleet.py", "import os\nfrom ._deps import libvirt\nfrom .model import Vm"),
    (f"{LIB}/guest/libguestfs.py", "from .._deps import guestfs\nneed('guestfs')"),
    (
        f"{LIB}/host_worker/daemon/a.py",
        "from ...wire.frames import Message\nfrom ..journal.journal import J",
    ),
    (f"{LIB}/model/a.py", "from pathlib import PurePosixPath\nfrom .vm import Vm"),
    (f"{LIB}/image/a.py", "from urllib.parse import urlsplit\nx = 'a.qcow2'"),
    (f"{LIB}/disk/a.py", "KINDS = {'dir': 1}\nx = 'a.qcow2'"),
    (f"{LIB}/host_worker/job/a.py", '"""Not a qcow2 file."""'),
    (f"{LIB}/wire/messages.py", "from ..model import names\nfrom ..model.checks import text"),
    ("modules/m.py", "from ..module_utils.maglica.wire.client import Client"),
)


@pytest.mark.parametrize(("path", "text"), GOOD, ids=[good[0] for good in GOOD])
def test_rules_leave_good_code_alone(path: str, text: str) -> None:
    source = Source(PurePosixPath(path), text)
    assert [complaint for rule in RULES for complaint in rule(source)] == []
