# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' templates, rendered without Ansible."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jinja2
from support import role_variables

ROLES = Path(__file__).resolve().parents[2] / "roles"
_KEY = "a=#:%0$rq571V.-+^!/*?&<>()0[]{}0@%$0#123"


def render(role: str, template: str, **variables: Any) -> str:
    """Render a template as Ansible's module does, for the cloud of the hosts in ``hostvars``."""
    jinja = jinja2.Environment(trim_blocks=True, autoescape=False)  # noqa: S701
    jinja.filters |= {"b64decode": str, "expanduser": os.path.expanduser, "realpath": str}
    known: dict[str, Any] = {
        **role_variables.defaults(ROLES / "library"),
        **role_variables.defaults(ROLES / role),
        "maglica_client_worker_address": "192.0.2.1",
        "library_client_worker_key": {"content": _KEY},
        "library_client_worker_next_key": {},
        "library_user_dir": "/etc/maglica",
        "certificates_answer": {"hosts": []},
        "groups": {"maglica_hosts": list(variables.get("hostvars", {}))},
    }
    text = (ROLES / role / "templates" / template).read_text()
    return jinja.from_string(text).render({**known, **variables})
