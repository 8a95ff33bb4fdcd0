# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that was detached and kept is its vm's still, and nothing is kept that is in use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.domain import definition
from maglica.host_worker.ownership import foreign_files, own_files
from maglica.host_worker.ownership.own_files import OwnFiles
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.remove import RemoveSpec
from support import qcow2
from support.fake_host import FakeHost
from support.fake_libvirt import Domain

from .test_disks import DATA, FIRST, NAME, NEW, UUID, XML, done


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    pool = host.connection.pools[0]
    pool.createXML(f"<volume><name>{FIRST}</name><capacity>{1 << 20}</capacity></volume>")
    return host.connection.defineXML(XML.format(name=FIRST, path=host.pool / FIRST))


def test_one_that_was_kept_goes_with_no_other_vm(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    done(host, DetachDiskSpec, "data", keep=True)
    xml = XML.replace(f"<name>{NAME}", "<name>other").replace(UUID, vm_uuid("other"))
    xml = xml.replace(" image='i' request='r'", f" adopted='{vm_uuid('other')}' request='q'")
    other = host.connection.defineXML(xml.format(name=DATA, path=host.pool / DATA))
    described = definition.describe(other.xml)
    assert described.is_adopted
    assert foreign_files.of_adopted(described, host.context) == OwnFiles()
    known = own_files.of_domain(definition.describe(domain.xml)).all_paths
    assert str(host.pool / DATA) in known


def test_one_that_was_kept_is_not_taken_from_another_pool(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    done(host, DetachDiskSpec, "data", keep=True)
    before = domain.xml
    ended = done(host, AddDiskSpec, replace(NEW, pool="other"))
    assert ended.failure.text.endswith(": it was kept in pool default, not other")
    assert domain.xml == before
    assert done(host, AddDiskSpec, replace(NEW, pool="default")).failure is None


def test_one_below_a_snapshot_is_not_kept(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    snapshot = host.pool / "data.snapshot"
    snapshot.write_bytes(qcow2.header(backing=str(host.pool / DATA).encode()))
    domain.xml = domain.xml.replace(f'file="{host.pool / DATA}"', f'file="{snapshot}"')
    before = domain.xml
    ended = done(host, DetachDiskSpec, "data", keep=True)
    assert ended.failure.text.endswith(
        f"its volume {host.pool / DATA} is what the file {snapshot} builds upon: merge it first"
    )
    assert domain.xml == before


def test_a_disk_that_was_added_goes_with_an_adopted_vm(
    host: FakeHost, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain.xml = domain.xml.replace(" image='i' request='r'", f" adopted='{UUID}' request='q'")
    assert done(host, AddDiskSpec, NEW).failure is None
    monkeypatch.setattr(foreign_files, "_volume", lambda _connection, _path: None)
    assert done(host, RemoveSpec, remove_foreign_disks=True).failure is None
    assert host.volumes() == []
