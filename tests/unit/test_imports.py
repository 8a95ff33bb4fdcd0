# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arrows of the design, read from the source: who may import what.

Each rule is a function from one parsed file to its complaints. It is run on every file of the
collection, and on a small bad source, so that the rule itself is seen to complain.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Callable

import pytest
from support.arrows import LIBRARY_NAME, Source, imports, read

CHECKOUT = Path(__file__).resolve().parents[2]
MAX_LINES = 350

# Values in, values out: these decide, and leave the doing to others.
PURE = (
    "model/*.py",
    "domain/*.py",
    "client_worker/delivery.py",
    "client_worker/placement/*.py",
    "disk/room.py",
    "fleet/snapshot.py",
    "guest/clone_plan.py",
    "guest/edits.py",
    "guest/facts.py",
    "guest/filesystem.py",
    "guest/identity.py",
    "guest/inodes.py",
    "guest/ssh.py",
    "guest/network/*.py",
    "host_worker/channel.py",
    "libvirtd/hosts.py",
    "manage/group.py",
    "manage/plan.py",
    "manage/target.py",
    "manage/wanted.py",
    "system/backoff.py",
    "verbs/*.py",
    "wire/fitting.py",
    "wire/frames.py",
    "wire/messages.py",
    "wire/records.py",
)
# The part of the standard library that only computes.
COMPUTING = {
    "__future__",
    "abc",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "operator",
    "posixpath",
    "re",
    "shlex",
    "string",
    "struct",
    "textwrap",
    "typing",
    "unicodedata",
    "uuid",
    "xml",
}
# What each folder of the library may import of it beside itself and model/; "." is a file that
# lies in no folder. A folder that is named here covers those inside it which are not.
ROOMS: dict[str, tuple[str, ...]] = {
    ".": (),
    "model": (),
    "system": (),
    "config": (),
    "domain": (),
    "guest": ("system",),
    "libvirtd": ("config", "system", "domain"),
    "disk": ("libvirtd", "system", "domain"),
    "verbs": (),
    "wire": ("config", "system.backoff", "verbs"),
    "fleet": ("libvirtd", "domain", "config", "wire"),
    "manage": ("fleet", "wire", "config", "verbs"),
    "cli": ("manage", "fleet", "wire", "config", "verbs"),
    "client_worker": ("wire", "config", "system", "disk.room", "verbs"),
    "host_worker": (
        *("wire.keys", "config", "system"),
        *("host_worker.daemon", "host_worker.journal", "host_worker.ownership"),
    ),
    "host_worker.journal": ("system", "guest.facts", "wire.records"),
    "host_worker.ownership": ("disk", "domain", "libvirtd", "host_worker.journal"),
    "host_worker.daemon": (
        *(
            "wire",
            "verbs",
            "disk",
            "domain",
            "guest.network.families",
            "libvirtd",
            "config",
            "system",
        ),
        *("host_worker.journal", "host_worker.ownership"),
        *("host_worker.channel", "host_worker.request_locks"),
    ),
    "host_worker.job": (
        *("verbs", "disk", "domain", "guest", "libvirtd", "config", "system"),
        *("host_worker.journal", "host_worker.ownership"),
        *("host_worker.channel", "host_worker.request_locks"),
    ),
}
# Third parties that only these folders know.
THIRD_PARTIES = {
    "guestfs": ("guest",),
    "libvirt": ("libvirtd", "disk", "fleet", "host_worker"),
    "zmq": ("wire", "client_worker", "host_worker.daemon"),
}
MAX_FILES = 18
# Types of pools that libvirt knows, and what else tells one kind of storage from another.
POOL_TYPES = {"dir", "fs", "netfs", "logical", "rbd", "gluster", "zfs", "iscsi"}
STORAGE_WORDS = re.compile(r"qemu-img|qcow2")
STORAGE_ONLY = ("disk.qcow2", "disk.qemu_img", "disk.copies", "disk.chain.QCOW2", "disk.chain.RAW")


Rule = Callable[[Source], Iterator[str]]


def reaches(source: Source) -> Iterator[tuple[str, int]]:
    """Yield what a file of the library reaches inside it, third parties as "_deps.NAME"."""
    for each in imports(source):
        if each.target is not None:
            yield each.target, each.line
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "_deps":
                yield f"_deps.{node.attr}", node.lineno
        elif isinstance(node, ast.Call) and called(node) == "need":
            for argument in node.args:
                if isinstance(argument, ast.Constant):
                    yield f"_deps.{argument.value}", node.lineno


def called(node: ast.Call) -> str:
    """Return the last part of the called name: "need" for both need() and _deps.need()."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def root(name: str) -> str:
    return name.partition(".")[0]


def within(target: str, prefix: str) -> bool:
    return target == prefix or target.startswith(f"{prefix}.")


def is_pure(inside: str) -> bool:
    return any(fnmatchcase(inside, pattern) for pattern in PURE)


def only_one_file_knows_ansible(source: Source) -> Iterator[str]:
    in_module_utils = source.path.parts[0] == "module_utils"
    if not in_module_utils or source.path == PurePosixPath("module_utils/_ansible.py"):
        return
    for each in imports(source):
        if each.level == 0 and root(each.name) in ("ansible", "ansible_collections"):
            yield f"{source.path}:{each.line}: imports {each.name}"


def library_imports_itself_relatively(source: Source) -> Iterator[str]:
    if source.inside is None:
        return
    for each in imports(source):
        if each.level and each.target is None:
            yield f"{source.path}:{each.line}: {each.name} is outside the library"
        if not each.level and each.target is not None:
            yield f"{source.path}:{each.line}: {each.name} wants a relative import"


def third_parties_come_through_deps(source: Source) -> Iterator[str]:
    if source.inside in (None, "_deps.py"):
        return
    for each in imports(source):
        if each.level == 0 and root(each.name) not in sys.stdlib_module_names:
            yield f"{source.path}:{each.line}: {each.name} wants to come through _deps"


def room_of(module: str) -> str:
    """Return the folder of ROOMS that a module of the library is in: "host_worker.job"."""
    parts = module.split(".")[:-1]
    while parts and ".".join(parts) not in ROOMS:
        parts.pop()
    return ".".join(parts) or "."


def walls_stand(source: Source) -> Iterator[str]:
    if source.inside is None:
        return
    room = room_of(source.inside[: -len(".py")].replace("/", "."))
    for target, line in reaches(source):
        if target.startswith("_deps"):
            continue
        if within(target, room) and room_of(f"{target}.x") == room:
            continue
        if not any(within(target, each) for each in (*ROOMS[room], "model")):
            yield f"{source.path}:{line}: {room}/ reaches {target}"


def third_parties_have_their_rooms(source: Source) -> Iterator[str]:
    if source.inside is None:
        return
    module = source.inside[: -len(".py")].replace("/", ".")
    for target, line in reaches(source):
        rooms = THIRD_PARTIES.get(target.partition("_deps.")[2])
        if rooms and not any(within(module, room) for room in rooms):
            yield f"{source.path}:{line}: {target} belongs to {', '.join(rooms)}"


def only_the_library_starts_workers(source: Source) -> Iterator[str]:
    if source.inside is not None:
        return
    for each in imports(source):
        if each.target is not None and root(each.target) in ("host_worker", "client_worker"):
            yield f"{source.path}:{each.line}: {each.target} is a worker's own"


def pure_files_do_no_io(source: Source) -> Iterator[str]:
    if source.inside is None or not is_pure(source.inside):
        return
    for each in imports(source):
        computing = root(each.name) in COMPUTING or each.name.startswith("pathlib.Pure")
        if each.level == 0 and not computing:
            yield f"{source.path}:{each.line}: {each.name} does I/O"
    for target, line in reaches(source):
        if not reaches_pure_file(target):
            yield f"{source.path}:{line}: {target} is not pure"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and called(node) in ("open", "print", "input"):
            yield f"{source.path}:{node.lineno}: calls {called(node)}"


def reaches_pure_file(target: str) -> bool:
    """Tell whether "wire.checks.text" lies in a pure file; a bare folder is judged by the rest."""
    parts = target.split(".")
    return any(is_pure("/".join(parts[:n]) + ".py") for n in range(1, len(parts) + 1))


def nothing_is_imported_by_a_name_made_at_run_time(source: Source) -> Iterator[str]:
    for each in imports(source):
        if each.target is not None and each.target.split(".")[0] == "run":
            yield f"{source.path}:{each.line}: run.py starts programs, and is part of none"
        if source.inside == "run.py":
            continue
        if each.level == 0 and root(each.name) in ("importlib", "imp", "pkgutil", "runpy"):
            yield f"{source.path}:{each.line}: {each.name} is not bundled with a module"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and called(node) in ("__import__", "eval", "exec"):
            yield f"{source.path}:{node.lineno}: calls {called(node)}"


def only_disk_knows_kinds_of_storage(source: Source) -> Iterator[str]:
    """Complain of pools' types, volumes' suffixes and qemu-img; a definition's XML has formats."""
    if source.inside is None or source.inside.split("/")[0] in ("disk", "domain"):
        return
    for target, line in reaches(source):
        if any(within(target, each) for each in STORAGE_ONLY):
            yield f"{source.path}:{line}: {target} is of one kind of storage"
    nodes = list(ast.walk(source.tree))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if not isinstance(node, ast.Constant) or node in docstrings:
            continue
        if node.value in POOL_TYPES or STORAGE_WORDS.search(str(node.value)):
            yield f"{source.path}:{node.lineno}: {node.value!r} is of one kind of storage"


def folders_have_no_init(source: Source) -> Iterator[str]:
    if source.path.name == "__init__.py":
        yield f"{source.path}: code in it would not run everywhere"


def files_stay_small(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if source.path.parts[0] == "module_utils" and lines >= MAX_LINES:
        yield f"{source.path}: {lines} lines, {MAX_LINES} is too many"


RULES: tuple[Rule, ...] = (
    only_one_file_knows_ansible,
    library_imports_itself_relatively,
    third_parties_come_through_deps,
    walls_stand,
    third_parties_have_their_rooms,
    only_the_library_starts_workers,
    pure_files_do_no_io,
    nothing_is_imported_by_a_name_made_at_run_time,
    only_disk_knows_kinds_of_storage,
    folders_have_no_init,
    files_stay_small,
)


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
    (f"{LIB}/disk/a.py", "KINDS = {'dir': 1}\nx = 'a.qcow2'"),
    (f"{LIB}/host_worker/job/a.py", '"""Not a qcow2 file."""'),
    (f"{LIB}/wire/messages.py", "from ..model import names\nfrom ..model.checks import text"),
    ("modules/m.py", "from ..module_utils.maglica.wire.client import Client"),
)


@pytest.mark.parametrize(("path", "text"), GOOD, ids=[good[0] for good in GOOD])
def test_rules_leave_good_code_alone(path: str, text: str) -> None:
    source = Source(PurePosixPath(path), text)
    assert [complaint for rule in RULES for complaint in rule(source)] == []
