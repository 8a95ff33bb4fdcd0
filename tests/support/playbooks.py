# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks, run for the test cloud."""

from __future__ import annotations

import re

from support.cloud import STATE, Cloud


def play(cloud: Cloud, playbook: str, *options: str) -> tuple[int, str]:
    """Run a playbook; return how many tasks changed something, and what it printed."""
    output = cloud.run(
        *("ansible-playbook", "-i", str(STATE / "hosts.yml"), f"maglica.cloud.{playbook}"),
        *options,
    )
    return sum(map(int, re.findall(r"^\S+ +: ok=.* changed=(\d+) ", output, re.MULTILINE))), output
