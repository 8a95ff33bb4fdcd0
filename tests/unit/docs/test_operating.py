# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/operating.md: every command in it, in its blocks and in its lines, is one that there is."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from maglica.cli import main
from support import role_variables
from support.documents import CHECKOUT, blocks
from support.role_templates import ROLES

DOCUMENT = "docs/operating.md"
TEXT = (CHECKOUT / DOCUMENT).read_text()
INLINE = [code for code in re.findall(r"`([^`\n]+)`", TEXT) if " " in code]
TYPED = [
    *(words for each in blocks(DOCUMENT) for words in each.commands),
    *(shlex.split(code) for code in INLINE),
]
# Programs of others; what is said of each is as their documentation has it.
OTHERS = {"ansible-vault", "libguestfs-test-tool", "qemu-img"}


def of(program: str) -> list[list[str]]:
    return [words for words in TYPED if words[0] == program]


def test_each_line_that_looks_like_a_command_is_one_of_a_program_that_is_known() -> None:
    known = {"maglica", "ansible-playbook", "journalctl", "systemctl", "make", *OTHERS}
    settings = {words[0] for words in TYPED if words[0].endswith(":")}
    assert {words[0] for words in TYPED if not words[0].startswith("-")} - settings <= known


@pytest.mark.parametrize("words", of("maglica"), ids=" ".join)
def test_a_command_of_maglica_is_understood(words: list[str]) -> None:
    given = {"ID": "d268ad44-536b-4eae-831f-0a64f1b0c191"}
    asked = main._parser().parse_args([given.get(word, word) for word in words[1:]])
    assert callable(asked.run)


def test_each_playbook_is_there_and_each_is_described() -> None:
    shipped = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}
    # The beginning and the end of others.
    shipped -= {"machines", "replaced"}
    assert set(re.findall(r"maglica\.cloud\.(\w+)", " ".join(map(" ".join, TYPED)))) == shipped


def test_what_is_given_to_a_playbook_is_read_by_one() -> None:
    given = set(re.findall(r"-e (\w+)=", TEXT))
    read = {option for role in ROLES.iterdir() for option in role_variables.options(role)}
    for playbook in (CHECKOUT / "playbooks").glob("*.yml"):
        read |= set(re.findall(r"\{\{ (\w+)", playbook.read_text()))
    assert given <= read


def test_each_service_is_one_of_ours_or_libvirt_s() -> None:
    services = {"libvirtd"}
    services |= {path.name.partition(".")[0] for path in ROLES.glob("*/templates/*.service.j2")}
    named = set(re.findall(r"(?:journalctl -u|systemctl \w+) (\S+?)[`\s]", TEXT))
    assert named <= services


def test_systems_are_called_run_only_where_they_were() -> None:
    systems = yaml.safe_load((ROLES / "library" / "vars" / "main.yml").read_text())
    told = dict(re.findall(r"^\| (.+?) \| (run|rendered, never run) \|", TEXT, re.MULTILINE))
    assert told == {
        each["name"]: "run" if each["tried"] else "rendered, never run"
        for each in systems["library_systems"].values()
    }
