# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes with a vm that others made is what it has when it goes."""

from __future__ import annotations

import pytest
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.host_worker.job.vm import remove
from maglica.host_worker.ownership import foreign_files
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.disks import NewDisk
from maglica.verbs.remove import RemoveSpec
from support.fake_host import FakeHost, Killed

NAME, HOST, UUID = "theirs", "kvm0.example.jp", vm_uuid("r")
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata><m:vm xmlns:m='{VM_NAMESPACE}' adopted='{UUID}' request='r'/></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{{disks}}</devices>
</domain>"""
DISK = "<disk type='file'><source file='{}'/><target dev='vda'/></disk>"


def die(*_arguments: object) -> None:
    raise Killed


def test_a_disk_that_was_taken_from_it_since_stays(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_files, "_volume", lambda _connection, _path: None)
    one, two = host.pool / "one.raw", host.pool / "two.raw"
    for path in (one, two):
        path.write_text("theirs")
    both = "".join(map(DISK.format, (one, two)))
    domain = host.connection.defineXML(XML.format(disks=both))
    request = host.asked(RemoveSpec(NAME, UUID, HOST, True))

    with monkeypatch.context() as dying:
        dying.setattr(remove, "undefine", die)
        with pytest.raises(Killed):
            main.run([request.id], host.context)
    domain.xml = XML.format(disks=DISK.format(two))
    host.context = host.new_context()
    main.run([request.id], host.context)
    assert host.now(request).failure is None
    assert (one.exists(), two.exists()) == (True, False)


@pytest.mark.parametrize("dies", [False, True])
def test_a_disk_that_maglica_has_added_goes_and_is_none_of_others(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    monkeypatch.setattr(foreign_files, "_volume", lambda _connection, _path: None)
    theirs = host.pool / "one.raw"
    theirs.write_text("theirs")
    host.connection.defineXML(XML.format(disks=DISK.format(theirs)))
    added = host.asked(AddDiskSpec(NAME, UUID, HOST, NewDisk("data", 1)))
    main.run([added.id], host.context)
    assert host.now(added).vm.foreign_disks == (str(theirs),)
    request = host.asked(RemoveSpec(NAME, UUID, HOST, True))
    if dies:
        with monkeypatch.context() as dying:
            dying.setattr(remove.own_files, "discard", die)
            with pytest.raises(Killed):
                main.run([request.id], host.context)
    gone = host.next_job(request)
    assert (gone.failure, gone.vm.foreign_disks) == (None, (str(theirs),))
    assert host.volumes() == []
