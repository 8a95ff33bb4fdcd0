# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and guests say, before Ansible gets it as variables."""

from __future__ import annotations

import functools
from typing import Any

from ansible.template import trust_as_template


def trusted(value: Any) -> Any:
    """Mark text that can't be a template as trusted: it has no brace, and no ``#`` as in the header
    ``#jinja2:``, by which a template can choose other marks.

    It is then shown by ansible-inventory --list as it is. All other text that comes from hosts and
    guests is never rendered.
    """
    if isinstance(value, str):
        return value if "{" in value or "#" in value else _text(value)
    if isinstance(value, list):
        return [trusted(entry) for entry in value]
    if isinstance(value, dict):
        return {key: trusted(entry) for key, entry in value.items()}
    return value


# Most text of a listing is the same for many domains: states, networks, formats.
@functools.lru_cache(maxsize=1024)
def _text(value: str) -> str:
    return trust_as_template(value)
