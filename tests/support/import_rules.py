# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arrows of the design: who may import what, as tables and as rules.

Each rule is a function from one parsed file to its complaints.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Callable

from support.arrows import Source, imports

MAX_LINES = 350

# Values in, values out: these decide, and leave the doing to others.
PURE = (
    "model/*.py",
    "domain/*.py",
    "client_worker/delivery.py",
    "client_worker/placement/*.py",
    "disk/firmware.py",
    "disk/partitions.py",
    "disk/room.py",
    "fleet/snapshot.py",
    "guest/accounts.py",
    "guest/clone_plan.py",
    "guest/cloud_init/facts.py",
    "guest/cloud_init/network_config.py",
    "guest/cloud_init/way.py",
    "guest/edits.py",
    "guest/facts.py",
    "guest/filesystem.py",
    "guest/growth.py",
    "guest/identity.py",
    "guest/inodes.py",
    "guest/ssh.py",
    "guest/users.py",
    "guest/network/*.py",
    "host_worker/channel.py",
    *("hosting/definition.py", "hosting/network.py", "hosting/pool.py"),
    "image/*.py",
    "libvirtd/hosts.py",
    "manage/group.py",
    "manage/image_plan.py",
    "manage/image_wanted.py",
    "manage/plan.py",
    "manage/target.py",
    "manage/wanted.py",
    "manage/kept.py",
    "manage/written.py",
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
    "decimal",
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
# Parts of modules that do more.
COMPUTING_PARTS = ("pathlib.Pure", "urllib.parse.")
# What each folder of the library may import of it beside itself and model/; "." is a file that
# lies in no folder. A folder that is named here covers those inside it which are not.
ROOMS: dict[str, tuple[str, ...]] = {
    ".": (),
    "model": (),
    "system": (),
    "image": (),
    "config": ("image",),
    "domain": (),
    "guest": ("system",),
    "libvirtd": ("config", "system", "domain"),
    "disk": ("libvirtd", "system", "domain"),
    "hosting": ("libvirtd",),
    "verbs": ("image",),
    "wire": ("config", "system.backoff", "verbs"),
    "fleet": ("libvirtd", "domain", "config", "wire"),
    "manage": (
        *("fleet", "wire", "config", "verbs", "image"),
        # What is checked before anybody is asked.
        *("domain.new_image", "guest.cloud_init.user_data"),
    ),
    # What a guest's console is opened by.
    "cli": ("manage", "fleet", "wire", "config", "verbs", "image", "libvirtd.serial"),
    "client_worker": ("wire", "config", "system", "disk.room", "verbs"),
    "host_worker": (
        *("wire.keys", "config", "system"),
        *("host_worker.daemon", "host_worker.journal", "host_worker.ownership"),
    ),
    "host_worker.journal": (*("system", "wire.records", "guest.facts", "guest.cloud_init.facts"),),
    "host_worker.ownership": ("disk", "domain", "libvirtd", "host_worker.journal"),
    "host_worker.daemon": (
        *(
            "wire",
            "verbs",
            "disk",
            "domain",
            "guest.network.families",
            "guest.facts",
            "guest.cloud_init.way",
            "libvirtd",
            "config",
            "system",
        ),
        *("host_worker.journal", "host_worker.ownership"),
        *("host_worker.channel", "host_worker.macs", "host_worker.request_locks"),
    ),
    "host_worker.job": (
        *("verbs", "image", "disk", "domain", "guest", "libvirtd", "config", "system"),
        *("host_worker.journal", "host_worker.ownership"),
        *("host_worker.channel", "host_worker.macs", "host_worker.request_locks"),
    ),
}
# Third parties that only these folders know.
THIRD_PARTIES = {
    "guestfs": ("guest",),
    "libvirt": ("libvirtd", "disk", "hosting", "fleet", "host_worker"),
    "pycdlib": ("disk",),
    "argcomplete": ("cli",),
    "yaml": ("guest.cloud_init",),
    "zmq": ("wire", "client_worker", "host_worker.daemon"),
}
MAX_FILES = 18
# Types of pools that libvirt knows, and what else tells one kind of storage from another.
POOL_TYPES = {"dir", "fs", "netfs", "logical", "rbd", "gluster", "zfs", "iscsi"}
# Those that know it, or read and write definitions and files.
STORAGE_ROOMS = ("disk", "domain", "hosting", "image")
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
        computing = root(each.name) in COMPUTING or each.name.startswith(COMPUTING_PARTS)
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
    """Complain of pools' types, volumes' suffixes and qemu-img.

    A definition's XML has formats, and so has what is fetched.
    """
    if source.inside is None or source.inside.split("/")[0] in STORAGE_ROOMS:
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
