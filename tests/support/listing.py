# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ansible-inventory --list` prints, which marks text that Ansible never evaluates."""

from __future__ import annotations

import json
from typing import Any


def loads(listed: str) -> Any:
    """Return what was printed, with such text as text."""
    return json.loads(listed, object_hook=_plain)


def _plain(value: dict[str, Any]) -> Any:
    return value["__ansible_unsafe"] if value.keys() == {"__ansible_unsafe"} else value
