# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jinja expressions, before Ansible evaluates them."""

from __future__ import annotations

import functools

from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.errors import (
    ConfigInvalid,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import short
from jinja2 import Environment, TemplateSyntaxError, nodes


# An expression is looked at for each domain.
@functools.lru_cache(maxsize=256)
def names_in(expression: str) -> frozenset[str]:
    """Return the names of the variables that a Jinja expression uses. Raises ConfigInvalid."""
    # Parsing alone: jinja2.meta would look for filters and tests, of which Ansible has its own.
    try:
        tree = Environment(autoescape=True).parse(f"{{{{ {expression} }}}}")
    except (TemplateSyntaxError, RecursionError) as error:
        raise ConfigInvalid(
            f"the filter {short(expression)!r} is not an expression: {error}"
        ) from None
    return frozenset(node.name for node in tree.find_all(nodes.Name))
