# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and guests say is text, also where it looks like a template."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from maglica.model.vm import vm_uuid
from support import testdriver
from support.testdriver import Libvirtd

from .conftest import REQUEST, Inventory

COMMAND = "lookup('ansible.builtin.pipe', 'touch {marker}')"
TEMPLATES = [
    "{{ {command} }}",
    "{% if {command} %}{% endif %}",
    "#jinja2: variable_start_string:'<<', variable_end_string:'>>'\n<< {command} >>",
    "#jinja2: line_statement_prefix:'%%'\n%% set x = {command}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_in_a_vm_s_metadata_is_not_rendered(
    libvirtd: Libvirtd, inventory: Inventory, tmp_path: Path, template: str
) -> None:
    marker = tmp_path / "rendered"
    text = template.replace("{command}", COMMAND.replace("{marker}", str(marker)))
    who = quoteattr(text, {"\n": "&#10;"})
    metadata = (
        f"<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='i'"
        f" request='{REQUEST}' created='1' who={who} clone_mode='linked'/>"
    )
    domain = testdriver.domain("vm0", identity=vm_uuid(REQUEST), metadata=metadata)
    uri = libvirtd.uri(testdriver.node(libvirtd.folder / "templates.xml", [domain]))
    path = inventory.write({"hosts": [{"name": "kvm0", "uri": uri}]})
    assert inventory.list(path).hosts["vm0"]["maglica_who"] in (text, {"__ansible_unsafe": text})
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible"),
            *("--inventory", str(path), "vm0", "--module-name", "ansible.builtin.debug"),
            *("--args", "msg={{ maglica_who }}"),
        ],
        env=inventory.environment,
        cwd=inventory.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not marker.exists()
