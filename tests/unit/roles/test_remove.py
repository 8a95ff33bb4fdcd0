# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role knows its own undo: what its tasks make is what its removal names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
# The tasks that take away.
REMOVING = {
    "client_worker": ("remove.yml", "remove_all.yml"),
    "host_worker": ("remove.yml",),
    "certificates": ("remove.yml", "remove_leaf.yml", "revoke.yml"),
    "libvirtd": ("remove.yml", "no_sasl.yml", "no_tls.yml"),
    "library": ("remove.yml", "client_remove.yml", "revoke.yml"),
}
MAKING = ("assemble", "blockinfile", "copy", "file", "lineinfile", "template", "user")
PATHS = ("dest", "path", "name")
# What is not removed where it is made, and why.
ELSEWHERE = {
    "{{ libvirtd_daemons.configuration }}": "its block goes where nothing is open: listen.yml",
    "{{ item.place }}": "links go only where they are ours still: no_tls.yml",
    "{{ backup_path | dirname }}": "it has backups, which are for whoever has made them",
    "{{ backup_path }}.part": "it gets its name when it is whole, and else goes at once",
    "{{ restore_folder.path }}/backup.tar.gz": "it goes with its folder when the play is over",
    "{{ library_own_folder }}": "who calls for the folder names it",
    "{{ library_key_file }}": "who calls for the key names it",
    "{{ library_rotated_key | regex_replace('[.]key$', '.next.key') }}": "it is known by its name",
    "{{ library_rotated_key | regex_replace('[.]key$', '.next.pub') }}": "it is known by its name",
    "{{ library_key_file | dirname }}": "it is the folder of the configuration",
    "{{ library_command | dirname }}": "it may have been there: ~/.local/bin, /usr/local/bin",
    "{{ library_command }}": "it goes by the line that tells whose it is",
    "{{ library_user_dir }}/maglica.conf": "it goes by the line that tells whose it is",
}


def tasks(role: str) -> Iterator[tuple[str, Any]]:
    for file in sorted((ROLES / role / "tasks").glob("*.yml")):
        yield file.name, yaml.safe_load(file.read_text())


def made(value: Any) -> Iterator[str]:
    """Yield the paths and accounts that tasks make."""
    if isinstance(value, list):
        for each in value:
            yield from made(each)
    elif isinstance(value, dict):
        for key, inner in value.items():
            module = key.removeprefix("ansible.builtin.")
            if module in MAKING and inner.get("state") != "absent":
                yield from (inner[option] for option in PATHS if option in inner)
            elif key == "vars" and "library_own_folder" in inner:
                yield inner["library_own_folder"]
            elif key == "vars" and "library_key_file" in inner:
                yield inner["library_key_file"]
                yield inner["library_key_file"].replace(".key", ".pub")
            else:
                yield from made(inner)


def said(value: Any) -> Iterator[str]:
    if isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from said(each)
    elif isinstance(value, str):
        yield value


REMOVED = {
    text.replace(" | expanduser", "")
    for role, files in REMOVING.items()
    for file, value in tasks(role)
    if file in files
    for text in said(value)
}


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_what_a_role_makes_its_removal_names(role: str) -> None:
    found = {
        path
        for file, value in tasks(role)
        if file not in REMOVING.get(role, ())
        for path in made(value)
    }
    assert found
    assert {path for path in found - ELSEWHERE.keys() if path not in REMOVED} == set()


def test_each_exception_is_of_something_that_is_made() -> None:
    roles = [role.name for role in ROLES.iterdir()]
    everything = {path for role in roles for _file, value in tasks(role) for path in made(value)}
    assert ELSEWHERE.keys() <= everything
