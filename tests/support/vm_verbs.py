# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs about a vm that is there and is Maglica's, and what their specs need beside it."""

from __future__ import annotations

from typing import Any

from maglica.verbs import table
from maglica.verbs.hardware.disks import NewDisk

# By these two a domain of others becomes one of ours, and again one of theirs: test_adopt.py.
_ADOPTION = ("adopt", "disown")
ON_A_VM = [
    verb
    for verb in table.VERBS
    if verb.about == "vm" and not verb.makes_vm and verb.name not in _ADOPTION
]
ALSO: dict[str, dict[str, Any]] = {
    "add_disk": {"disk": NewDisk("data", 1)},
    "grow_disk": {"disk": "data", "size_mib": 1},
    "detach_disk": {"disk": "data"},
    "add_interface": {"network": "default"},
    "change_interface": {"mac": "52:54:00:00:00:01", "network": "default"},
    "remove_interface": {"mac": "52:54:00:00:00:01"},
}
