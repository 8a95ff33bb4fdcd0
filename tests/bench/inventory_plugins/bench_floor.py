# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that an inventory of so many hosts and variables costs: it is read from a file that
`ansible-inventory --list` wrote, and given to Ansible.
"""

from __future__ import annotations

import json
from pathlib import Path

from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = r"""
name: bench_floor
short_description: Gives Ansible an inventory that was listed before
options:
  plugin:
    description: Says that the file is for this plugin.
    type: str
    required: true
  listed:
    description: The file.
    type: path
    required: true
"""


class InventoryModule(BaseInventoryPlugin):
    """See DOCUMENTATION."""

    NAME = "bench_floor"

    def parse(self, inventory, loader, path, cache=True):
        """Add what the file has."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        text = Path(self.get_option("listed")).read_text(encoding="utf-8")
        listed = json.loads(text, object_hook=_plain)
        variables = listed.pop("_meta")["hostvars"]
        for group in listed:
            inventory.add_group(group)
        for host, values in variables.items():
            inventory.add_host(host)
            for name, value in values.items():
                inventory.set_variable(host, name, value)
        for group, members in listed.items():
            for host in members.get("hosts", ()):
                inventory.add_child(group, host)


def _plain(value):
    """Return text that is marked as never evaluated, as it was before it was listed."""
    return value.get("__ansible_unsafe", value)
