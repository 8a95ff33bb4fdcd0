# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/configuration.md: all options of the three configuration files.

Which there are, what each takes and what it is without being set comes from the code, the variables
of the roles from their templates. What an option means stands here.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
FILE = CHECKOUT / "docs" / "configuration.md"
HEAD = """<!--
SPDX-FileCopyrightText: Maglica contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by `make configuration`, from the code and tests/tools/configuration.py.
-->
# Configuration

Each part has an INI file of its own; the roles write them all. Lines that start with `#` or `;` are
comments. Relative paths are taken from the file's folder. A section or an option that is not known
is an error, which names the file, the line, the section and the option.
"""
# Each file with its role, the template's path, and what it is about.
FILES = (
    (
        "maglica.conf",
        "library",
        "The file of whoever uses the cloud: inventory, modules and command. It is looked for in"
        " the option `config`, in `$MAGLICA_CONFIG`, at `~/.config/maglica/maglica.conf` and at"
        " `/etc/maglica/maglica.conf`. {said} say the same as their sections, and count more. A"
        " `[host NAME]` is needed only to ask the hosts' libvirtds, not to ask the client worker.",
    ),
    (
        "client_worker.conf",
        "client_worker",
        "The file of the client worker, in `/etc/maglica`. It is read when the client worker"
        " starts; the access file is read again whenever it changes.",
    ),
    (
        "host_worker.conf",
        "host_worker",
        "The file of a host worker, in `/etc/maglica` of each host. It is read when the host worker"
        " starts.",
    ),
)
# A line of a template that sets an option by a role's variable.
_SET = r"(\w+) = .*?\b((?:maglica|client_worker|host_worker)_\w+)(.*)"
MEANINGS: dict[str, dict[str, str]] = {
    "client_worker": {
        "address": "Where the client worker is.",
        "publish_port": "The port on which host workers hear of requests.",
        "request_port": "The port for everything that is asked and answered.",
        "public_key": "The client worker's public key, by which it is known to be the right one;"
        " with a blank behind it, the one that is to follow. Needed unless `insecure` is set, but"
        " not by the client worker itself.",
        "insecure": "Without encryption and keys, on loopback addresses only: for a demo.",
    },
    "client_worker_service": {
        "secret_key_file": "The file with its secret key.",
        "access_file": "The file that says whose key may do what: a line `ROLE NAME KEY` for each.",
        "journal": "The file in which requests are kept.",
        "bind": "The address on which it listens.",
        "host_timeout": "After so many seconds without a report a host counts as not alive.",
        "retention": "How many seconds a request that has ended is kept.",
        "memory_overcommit": "So many times the memory of a host, less the reserve, may be"
        " committed to vms.",
        "memory_reserve": "MiB of a host that are not for vms.",
        "imports_at_once": "How many images all hosts together fetch and unpack at the same time.",
    },
    "library": {"secret_key_file": "The file with the secret key of who uses the cloud."},
    "host NAME": {
        "uri": "The libvirt URI of the host, from here.",
        "weight": "The host's share of the work: one with 2 takes twice the load of one with 1.",
        "memory_overcommit": "As in `[client_worker_service]`, for this host.",
        "memory_reserve": "As in `[client_worker_service]`, for this host.",
    },
    "image NAME": {
        "url": "Where the image is.",
        "checksum": "Its checksum, or the address of a file of checksums.",
        "firmware": "How its guests start; without it, as its disk says.",
        "user": "The user that the image's cloud-init makes if nothing else is said.",
        "format": "The form of the file; without it, as the file itself shows.",
        "notes": "What `maglica image catalog` says of it.",
    },
    "host_worker": {
        "name": "The host's name in the cloud, the same as in the client worker's access file.",
        "secret_key_file": "The file with its secret key.",
        "uri": "The libvirt URI of this host's libvirtd.",
        "state_dir": "The folder with its journal and the files of jobs.",
        "hello_interval": "The seconds between two reports while nothing changes.",
        "clone_jobs": "How many jobs that clone run at the same time; one makes all clones of one"
        " image that wait.",
        "quick_jobs": "How many other jobs run at the same time.",
        "job_silence": "After so many seconds without progress a job counts as hung, and is ended.",
        "accel": "What libguestfs's appliance runs with; `auto` takes KVM where the host has it.",
        "image_pattern": "What the whole name of an original image must match that Maglica did not"
        " make. Any other domain that is off is then no image here. Without it each is one.",
        "pools": "The pools that clones are made in; empty for all.",
        "prepare": "The images whose bases are made ahead of the first clone.",
        "adopt": "Whether clients may take over vms of others, and then change and remove them.",
    },
}


def text() -> str:
    """Return the whole page."""
    from maglica.config import chosen

    names = [f"`${each}`" for name, each in chosen.VARIABLES.items() if name != "config"]
    said = ", ".join(names[:-1]) + f" and {names[-1]}"
    parts = [HEAD]
    for file, role, about in FILES:
        parts.append(f"\n## {file}\n\n{_wrapped(about.format(said=said))}\n")
        for section, variables in _template(file, role).items():
            parts.append(f"\n### [{section}]\n\n")
            parts.extend(f"{line}\n" for line in _table(section, variables))
    return "".join(parts)


def _table(section: str, variables: Mapping[str, str]) -> Iterator[str]:
    yield "| option | value | default | role's variable | meaning |"
    yield "|---|---|---|---|---|"
    for name, kind, default in options(section):
        variable = f"`{variables[name]}`" if name in variables else ""
        meaning = MEANINGS[section][name]
        yield f"| `{name}` | {kind} | {default} | {variable} | {meaning} |"


def options(section: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each option of a section, what it takes, and its default."""
    from maglica.config import config
    from maglica.image import catalog

    cls, readers = {
        **config._SECTIONS,
        "host NAME": (config.HostEntry, config._HOST),
        "image NAME": (catalog.Entry, config._IMAGE),
    }[section]
    fields = {each.name: each for each in dataclasses.fields(cls)}
    for name, reader in readers.items():
        default = fields[name].default
        if section == "host NAME" and name == "uri":
            shown = f"`{config.values.default_uri('NAME')}`"
        elif default is dataclasses.MISSING:
            shown = "(needed)"
        elif default is None or default in ((), ""):
            shown = ""
        else:
            shown = f"`{_plain(default)}`"
        yield name, kind(reader), shown


def kind(reader: Any) -> str:
    """Return what a reader takes: of one with limits, as its error says it."""
    from maglica.config import values

    known = {
        values.word: "a name",
        values.words: "names, with commas",
        values.address: "an address or a host name",
        values.bind: "an address",
        values.path: "a path",
        values.uri: "a libvirt URI",
        values.key: "a key (Z85)",
        values.one_or_two_keys: "one or two keys (Z85)",
        values.boolean: "`yes` or `no`",
        values.positive: "a number above 0",
        values.pattern: "a regular expression",
        values.firmware: "`bios` or `uefi`",
        values.line: "a text",
        values.web_address: "an address of the web",
        values.checksum: "`sha256:…`, `sha512:…`, or an address",
    }
    if reader in known:
        return known[reader]
    says = _refusal(reader)
    if (among := re.search(r" is none of (.+)", says)) is not None:
        return ", ".join(f"`{each}`" for each in among[1].split(", "))
    return says.partition(" is not ")[2]


def _refusal(reader: Any) -> str:
    """Return what a reader says of a value that none takes."""
    try:
        reader("\0", Path())
    except ValueError as error:
        return str(error)
    raise SystemExit(f"{reader} takes anything")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _template(file: str, role: str) -> dict[str, dict[str, str]]:
    """Return the sections that the role writes, each with the role's variables by the options."""
    path = CHECKOUT / "roles" / role / "templates" / f"{file}.j2"
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if title := re.fullmatch(r"\[(.+)\]", line):
            name = re.sub(r"\{\{.*\}\}", "NAME", title[1])
            section = found.setdefault(name, {})
        elif (option := re.fullmatch(_SET, line)) and not option[3].startswith((".", " }}/")):
            # What follows a dot is what a task has read, what follows a slash is fixed.
            section[option[1]] = option[2]
    return found


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, 102, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.path.insert(0, str(CHECKOUT / "plugins" / "module_utils"))
    FILE.write_text(text(), encoding="utf-8")
