# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables a role reads, and which ones it says that it reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, nodes

# What Ansible itself brings.
MAGIC = {"groups", "hostvars", "inventory_hostname", "item", "lookup", "now", "omit", "role_path"}
_EXPRESSIONS = ("when", "that", "changed_when", "failed_when", "until")
_OF_HOSTS = "hostvars"


def options(role: Path) -> dict[str, dict[str, Any]]:
    """Return what the role's argument_specs describe, of all of its entry points."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return {name: option for entry in specs.values() for name, option in entry["options"].items()}


def defaults(role: Path) -> dict[str, Any]:
    file = role / "defaults" / "main.yml"
    found: dict[str, Any] = yaml.safe_load(file.read_text()) or {}
    return found


def read_by(role: Path) -> set[str]:
    """Return the variables that come from outside of all roles, be it of another host."""
    found = {*_in_value(defaults(role)), *_in_value(own(role))}
    for file in sorted(role.glob("tasks/*.yml")):
        found.update(_in_value(yaml.safe_load(file.read_text())))
    for file in sorted(role.glob("templates/*.j2")):
        found.update(_in_template(file.read_text()))
    return {name for name in found if name not in MAGIC and not name.startswith("ansible_")}


def made_by(role: Path) -> set[str]:
    """Return the variables that the role itself sets: facts, results, those of a task, its own."""
    tasks = [yaml.safe_load(file.read_text()) for file in role.glob("tasks/*.yml")]
    return {*_made(tasks), *own(role)}


def own(role: Path) -> dict[str, Any]:
    """Return the variables that the role has and nobody sets."""
    file = role / "vars" / "main.yml"
    found: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    return found


def _made(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _made(each)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("vars", "ansible.builtin.set_fact"):
                yield from inner
            elif key == "register":
                yield inner
            else:
                yield from _made(inner)


def _in_value(value: object, expression: bool = False) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _in_value(each, expression)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _in_value(inner, key in _EXPRESSIONS)
    elif isinstance(value, str):
        yield from _in_template(f"{{{{ {value} }}}}" if expression else value)


def _in_template(text: str) -> Iterator[str]:
    tree = Environment(autoescape=True, trim_blocks=True).parse(text)
    own = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    own |= {macro.name for macro in tree.find_all(nodes.Macro)}
    own |= {name.name for macro in tree.find_all(nodes.Macro) for name in macro.args}
    yield from {name.name for name in tree.find_all(nodes.Name)} - own
    known = [
        assign.target.name
        for assign in tree.find_all(nodes.Assign)
        if isinstance(assign.target, nodes.Name) and _is_a_host(assign.node, ())
    ]
    for item in tree.find_all(nodes.Getitem):
        if _is_a_host(item.node, known) and isinstance(item.arg, nodes.Const):
            yield item.arg.value


def _is_a_host(node: nodes.Node, known: Collection[str]) -> bool:
    """Tell whether it is the variables of a host: hostvars[…], or a name that was given to it."""
    if isinstance(node, nodes.Name):
        return node.name in known
    return (
        isinstance(node, nodes.Getitem)
        and isinstance(node.node, nodes.Name)
        and node.node.name == _OF_HOSTS
    )
