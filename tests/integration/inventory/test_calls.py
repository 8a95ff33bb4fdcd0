# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not wanted is not read: libvirt's calls are counted on their way."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from support.latency import proxied
from support.testdriver import Libvirtd

from .conftest import Inventory


@pytest.mark.parametrize(
    ("filters", "read"),
    [
        ({"include_filters": [{"name": ["vm0*"]}]}, 1),
        ({"include_filters": [{"expression": "maglica_name == 'vm0.example.jp'"}]}, 1),
        ({"exclude_filters": [{"name": ["~vm0[.].*"]}]}, 3),
        # Known only when it has been read.
        ({"include_filters": [{"tag": ["web"]}]}, 4),
        ({"include_filters": [{"name": ["vm0*"], "tag": ["db"]}]}, 1),
        ({"include_filters": [{"host": ["other"]}]}, 0),
    ],
)
def test_filters_are_decided_as_early_as_they_can_be(
    inventory: Inventory, libvirtd: Libvirtd, kvm0: str, filters: dict[str, Any], read: int
) -> None:
    with proxied(libvirtd.port) as proxy:
        uri = urlsplit(kvm0)._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
        inventory.list({"hosts": [{"name": "kvm0", "uri": uri}], **filters})
        assert proxy.named().get("domain_xml", 0) == read
        assert bool(proxy.connections) == bool(read)
