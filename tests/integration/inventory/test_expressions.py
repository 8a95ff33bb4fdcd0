# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No text of hosts and guests is evaluated, wherever Ansible takes an expression."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
import yaml
from maglica.model.vm import vm_uuid
from support import testdriver
from support.testdriver import Libvirtd

from .conftest import REQUEST, Inventory

# An expression without a brace, with a value that is true.
COMMAND = "lookup('ansible.builtin.pipe', 'touch rendered; echo True')"
MARK = "rendered"
VM = "evil@kvm0"
# Each is done with each text. What fails is as good as what shows the text.
WITH_EACH: list[dict[str, Any]] = [
    {"ansible.builtin.debug": {"var": "{{ item }}"}},
    {"ansible.builtin.assert": {"that": "{{ item }}"}},
]
# Each is done with the domain's name.
WITH_ONE: list[dict[str, Any]] = [
    {"ansible.builtin.debug": {"var": "item"}},
    {"ansible.builtin.debug": {"msg": "{{ item }}"}},
    {"ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.vars', 'maglica_name') }}"}},
    {"ansible.builtin.debug": {"msg": "x"}, "loop": "{{ maglica_name }}"},
    {"ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.vars', item) }}"}},
    {"ansible.builtin.debug": {"msg": "{{ [item] | map('extract', vars) }}"}},
    {"ansible.builtin.debug": {"msg": "x"}, "when": "item"},
    {"ansible.builtin.debug": {"msg": "x"}, "when": "{{ item }}"},
    {"ansible.builtin.debug": {"msg": "x"}, "failed_when": "item"},
    {"ansible.builtin.debug": {"msg": "x"}, "changed_when": "{{ item }}"},
    {"ansible.builtin.debug": {"msg": "x"}, "until": "{{ item }}", "retries": 1, "delay": 0},
    {"ansible.builtin.debug": {"msg": "x"}, "delegate_to": "{{ item }}"},
    {"ansible.builtin.debug": {"msg": "{{ own }}"}, "vars": {"own": "{{ item }}"}},
    {"ansible.builtin.debug": {"var": "{{ own }}"}, "vars": {"own": "{{ item }}"}},
    {"ansible.builtin.assert": {"that": "item"}},
    {"ansible.builtin.assert": {"that": ["{{ item }}", "item"]}},
    {"ansible.builtin.set_fact": {"fact": "{{ item }}"}},
    {"ansible.builtin.debug": {"var": "{{ fact }}"}},
]


def _texts(shown: Any, path: str) -> Iterator[str]:
    """Yield an expression for each text in a variable."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            yield from _texts(value, f"{path}[{key!r}]")
    elif isinstance(shown, list):
        for place, value in enumerate(shown):
            yield from _texts(value, f"{path}[{place}]")
    elif isinstance(shown, str):
        yield path


def _play(texts: list[str]) -> list[dict[str, Any]]:
    tasks = [{"loop": [f"{{{{ {text} }}}}" for text in texts], **task} for task in WITH_EACH]
    tasks += [{"loop": ["{{ maglica_name }}"], **task} for task in WITH_ONE]
    end = {"ansible.builtin.debug": {"msg": "all was tried"}}
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    return [
        {
            "hosts": VM,
            "gather_facts": False,
            "ignore_errors": True,
            "vars": variables,
            "tasks": [*tasks, end],
        }
    ]


def _run(inventory: Inventory, path: Path, texts: list[str]) -> int:
    """Run the play; return how many commands ran."""
    play = inventory.folder / "play.yml"
    play.write_text(yaml.safe_dump(_play(texts)))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(path), str(play)],
        env=inventory.environment,
        cwd=inventory.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert '"msg": "all was tried"' in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    return len(list(inventory.folder.rglob(MARK)))


@pytest.fixture
def options(libvirtd: Libvirtd) -> dict[str, Any]:
    value = quoteattr(COMMAND)
    metadata = (
        f"<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image={value}"
        f" request='{REQUEST}' created='1' who={value} clone_mode={value} image_version={value}"
        f" base={value}><maglica:tag name={value}/></maglica:vm>"
    )
    xml = testdriver.domain(COMMAND, 1, identity=vm_uuid(REQUEST), metadata=metadata)
    xml = xml.replace("<interface type='network'>", "<interface type='bridge'>")
    xml = xml.replace("<source network='default'/>", f"<source bridge={value}/>")
    xml = xml.replace(f"/var/lib/libvirt/images/{COMMAND}.qcow2'", f"{escape(COMMAND)}'")
    xml = xml.replace(f"file='{COMMAND}'", f"file={value}")
    uri = libvirtd.uri(testdriver.node(libvirtd.folder / "expressions.xml", [xml]))
    return {
        "hosts": [{"name": "kvm0", "uri": uri}],
        "hostnames": ["'evil@' ~ maglica_host"],
        "xml": True,
        "compose": {
            "copied": "maglica_who",
            "joined": "maglica_who ~ ''",
            "listed": "[maglica_who, {'a': maglica_name}]",
        },
        "groups": {"named": "maglica_who"},
        "keyed_groups": [{"key": "maglica_who", "prefix": "who"}, {"key": "maglica_tags"}],
        "include_filters": [{"expression": "maglica_who"}, {"name": "*"}],
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": "cache",
    }


def test_nothing_is_evaluated_fresh_or_from_the_cache(
    inventory: Inventory, options: dict[str, Any]
) -> None:
    path = inventory.write(options)
    shown = inventory.list(path, "--list", "--flush-cache").hosts[VM]
    texts = [text for key, value in shown.items() for text in _texts(value, key)]
    for text in ("maglica_name", "maglica_disks[0]['source']", "copied", "listed[1]['a']"):
        assert text in texts
    assert list((inventory.folder / "cache").iterdir())
    assert _run(inventory, path, texts) == 0
    assert _run(inventory, inventory.write({**options, "cache": False}), texts) == 0


def test_the_same_texts_in_a_file_of_the_administrator_s_are_evaluated(
    inventory: Inventory,
) -> None:
    path = inventory.folder / "trusted.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {VM: {"maglica_name": COMMAND}}}}))
    assert _run(inventory, path, ["maglica_name"]) == 1
