# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/protocol.schema.json: the bodies of all messages as JSON Schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
FILE = CHECKOUT / "docs" / "protocol.schema.json"


def schema() -> dict[str, Any]:
    """Return the schema: ``$defs`` has each message and each record."""
    from maglica.model.checks import fields_schema
    from maglica.wire import messages
    from maglica.wire.frames import VERSION

    records: dict[str, Any] = {}
    bodies = {
        f"{side}.{kind}": _named(fields_schema(checks, frozenset(required)), records)
        for side, table in (
            ("asked", messages.ASKED),
            ("answered", messages.ANSWERED),
            ("published", messages.PUBLISHED),
        )
        for kind, (checks, required) in table.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The bodies of the messages of {VERSION.decode()}",
        "description": "protocol.md says what they mean. $defs has a message's body by its side and"
        " type, and each record by its name.",
        "$defs": {**bodies, **dict(sorted(records.items()))},
    }


def _named(value: Any, records: dict[str, Any]) -> Any:
    """Return ``value`` with a reference in the place of each record; put those into ``records``."""
    if isinstance(value, list):
        return [_named(entry, records) for entry in value]
    if not isinstance(value, dict):
        return value
    inside = {key: _named(entry, records) for key, entry in value.items()}
    title = inside.pop("title", None)
    if title is None:
        return inside
    if records.setdefault(title, inside) != inside:
        raise ValueError(f"two records have the name {title}")
    return {"$ref": f"#/$defs/{title}"}


def text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(CHECKOUT / "plugins" / "module_utils"))
    FILE.write_text(text(), encoding="utf-8")
