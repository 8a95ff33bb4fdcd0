# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that can't come, or can't go, leaves its vm as it was."""

from __future__ import annotations

import pytest
from maglica.host_worker.job import main
from maglica.verbs.hardware.add_disk import AddDiskSpec
from support.fake_host import FakeHost
from support.fake_libvirt import Domain, libvirtError

from .test_disks import FIRST, NEW, XML, asked, disks_of, is_settled, made


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    pool = host.connection.pools[0]
    pool.createXML(f"<volume><name>{FIRST}</name><capacity>{1 << 20}</capacity></volume>")
    return host.connection.defineXML(XML.format(name=FIRST, path=host.pool / FIRST))


def test_nothing_stays_where_the_guest_does_not_restart_for_it(
    host: FakeHost, domain: Domain
) -> None:
    domain.create()
    domain.deaf = True
    host.connection.failures["attach 1"] = [libvirtError("No more available PCI slots")]
    request = asked(host, AddDiskSpec, NEW, allow_restart=True, stop_timeout=0)
    main.run([request.id], host.context)
    main.run([request.id], host.context)
    assert "the guest did not shut down within 0 s" in host.now(request).failure.text
    assert (disks_of(domain.xml), host.volumes()) == ([FIRST], [FIRST])
    assert "data" not in made(domain).disks
    assert is_settled(host, request)
    assert (domain.runs, domain.active) == (1, True)
