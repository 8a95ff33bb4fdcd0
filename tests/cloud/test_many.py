# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty vms at once: spread over the hosts, none made twice, nothing left after their removal."""

from __future__ import annotations

import json
from collections import Counter

from support.cloud import CHECKOUT, Cloud

COUNT = 20
PLAYBOOK = CHECKOUT / "tests/cloud/many.yml"


def _play(cloud: Cloud, state: str) -> str:
    return cloud.run(
        "ansible-playbook",
        "-f",
        str(COUNT),
        str(PLAYBOOK),
        "-e",
        json.dumps({"count": COUNT, "state": state}),
    )


def test_twenty_at_once(cloud: Cloud, nothing_left) -> None:
    names = {f"many{number}.example.jp" for number in range(COUNT)}
    try:
        _play(cloud, "stopped")
        where = Counter({host: len(cloud.domains(host) & names) for host in cloud.hosts})
        assert sum(where.values()) == COUNT
        assert max(where.values()) - min(where.values()) <= 2, where
        macs = [
            mac
            for host in cloud.hosts
            for name in cloud.domains(host) & names
            for mac in cloud.macs(host, name)
        ]
        assert len(set(macs)) == COUNT
        assert "changed=0" in _play(cloud, "stopped").splitlines()[-2]
    finally:
        _play(cloud, "absent")
