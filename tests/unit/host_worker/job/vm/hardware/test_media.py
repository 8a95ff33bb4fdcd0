# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be in a vm's drive comes and goes, and from what it boots."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.domain import definition
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.model.request import Request
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.set_boot_order import BootDevice, SetBootOrderSpec
from maglica.verbs.hardware.set_cdrom import Medium, SetCdromSpec
from maglica.verbs.verb import OnVm
from support.fake_host import FakeHost
from support.fake_libvirt import Domain, libvirtError

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
UUID = vm_uuid("r")
SEED = f"{NAME}.sda.{UUID[:8]}.iso"
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata>
    <maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'>
      <maglica:volume target='sda' pool='default' name='{SEED}' path='/pool/{SEED}'/>
    </maglica:vm>
  </metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
  <devices>
    <disk type='file' device='cdrom'>
      <source file='/pool/{SEED}'/><target dev='sda' bus='scsi'/><readonly/>
    </disk>
    {{drive}}
  </devices>
</domain>"""
DRIVE = "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>"


def iso(path: Path, label: bytes = b"SETUP") -> Path:
    path.write_bytes(bytes(32768) + b"\x01CD001\x01".ljust(40, b"\0") + label.ljust(32) + bytes(99))
    path.chmod(0o644)
    return path


@pytest.fixture
def media(host: FakeHost, tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for each in (folder, *list(tmp_path.parents)[:3], tmp_path):
        each.chmod(each.stat().st_mode | 0o055)
    return folder


def defined(host: FakeHost, runs: bool, drive: str = DRIVE) -> Domain:
    domain = host.connection.defineXML(XML.format(drive=drive))
    if runs:
        domain.create()
    return domain


def done(host: FakeHost, kind: type[OnVm], *values: object, **fields: object) -> Request:
    request = host.asked(kind(NAME, UUID, HOST, *values, **fields))
    main.run([request.id], host.context)
    assert not host.context.journal.intents(request.id)
    return host.now(request)


def drives(xml: str) -> list[str | None]:
    return [disk.source for disk in definition.describe(xml).disks]


@pytest.mark.parametrize("runs", [False, True])
def test_a_medium_comes_and_goes(host: FakeHost, media: Path, runs: bool) -> None:
    domain = defined(host, runs)
    path = str(iso(media / "setup.iso"))
    iso(host.pool / "other.iso").chmod(0o600)
    host.connection.pools[0].refresh()
    for medium in (Medium(path), Medium(path), Medium(None, "default", "other.iso"), None):
        ended = done(host, SetCdromSpec, medium)
        assert ended.failure is None
        expected = [f"/pool/{SEED}", medium and medium.source]
        assert drives(domain.xml) == drives(domain.XMLDesc()) == expected
    assert domain.runs == int(runs)
    assert (Path(path).exists(), (host.pool / "other.iso").exists()) == (True, True)


@pytest.mark.parametrize("source", ["dev='/dev/sr0'", "protocol='https' name='setup.iso'"])
def test_what_is_no_file_is_taken_out(host: FakeHost, media: Path, source: str) -> None:
    kind = "block" if "dev" in source else "network"
    drive = DRIVE.replace("type='file'", f"type='{kind}'")
    driver = f"<driver name='qemu' type='qcow2'/><source {source}/>"
    domain = defined(host, runs=True, drive=drive.replace("<target", f"{driver}<target"))
    assert done(host, SetCdromSpec, None).failure is None
    assert drives(domain.xml) == drives(domain.XMLDesc()) == [f"/pool/{SEED}", None]
    medium = Medium(str(iso(media / "setup.iso")))
    assert done(host, SetCdromSpec, medium).failure is None
    for xml in (domain.xml, domain.XMLDesc()):
        # An ISO image is nothing else, whatever it says to be.
        assert definition.describe(xml).disks[1].format == "raw"


def test_a_guest_that_starts_closes_its_tray(host: FakeHost, media: Path) -> None:
    domain = defined(host, runs=True)
    before, medium = domain.xml, Medium(str(iso(media / "setup.iso")))
    closed = libvirtError("unable to execute QEMU command: Tray of device 'ide0' is not open")
    host.connection.failures["update 1"] = [closed, closed, libvirtError("it is locked")]
    refused = done(host, SetCdromSpec, medium)
    assert (refused.failure.code, refused.failure.text) == (
        "storage_failed",
        f"cannot set the cdrom of {NAME} on host {HOST}: its guest has closed the drive just when"
        " it was opened, and libvirt does not see that: stop the vm, or allow a restart"
        " (allow_restart)",
    )
    assert domain.xml == domain.XMLDesc() == before
    assert done(host, SetCdromSpec, medium, allow_restart=True).failure is None
    assert (drives(domain.XMLDesc())[1], domain.runs) == (medium.path, 2)
    assert done(host, SetCdromSpec, None, allow_restart=True).failure.text.endswith("it is locked")


@pytest.mark.parametrize("runs", [False, True])
def test_a_vm_without_a_drive_gets_one(host: FakeHost, media: Path, runs: bool) -> None:
    domain = defined(host, runs, drive="")
    medium = Medium(str(iso(media / "setup.iso")))
    assert done(host, SetCdromSpec, None).failure is None
    if runs:
        refused = done(host, SetCdromSpec, medium)
        assert refused.failure.text == (
            f"cannot set the cdrom of {NAME} on host {HOST}: it has no drive for it, which it can"
            " get while it is off only: stop the vm, or allow a restart (allow_restart)"
        )
        assert len(drives(domain.xml)) == 1
        domain.suspend()
        assert done(host, SetCdromSpec, medium).failure.text == (
            f"{refused.failure.text}, which one that is paused takes with state=running only"
        )
    assert done(host, SetCdromSpec, medium, allow_restart=True).failure is None
    assert drives(domain.xml) == drives(domain.XMLDesc()) == [f"/pool/{SEED}", medium.path]
    assert domain.runs == (2 if runs else 0)


@pytest.mark.parametrize("drive", ["", DRIVE])
def test_nothing_is_done_where_the_guest_does_not_restart_for_it(
    host: FakeHost, media: Path, drive: str
) -> None:
    domain = defined(host, runs=True, drive=drive)
    domain.deaf = True
    closed = libvirtError("unable to execute QEMU command: Tray of device 'ide0' is not open")
    host.connection.failures["update 1"] = [closed]
    medium, before = Medium(str(iso(media / "setup.iso"))), drives(domain.xml)
    ended = done(host, SetCdromSpec, medium, allow_restart=True, stop_timeout=0)
    assert "the guest did not shut down within 0 s" in ended.failure.text
    assert drives(domain.xml) == drives(domain.XMLDesc()) == before
    assert (domain.active, domain.runs) == (True, 1)


@pytest.mark.parametrize("drive", ["", DRIVE])
def test_nor_is_anything_where_its_job_dies(host: FakeHost, media: Path, drive: str) -> None:
    medium = Medium(str(iso(media / "setup.iso")))
    closed = libvirtError("unable to execute QEMU command: Tray of device 'ide0' is not open")
    for kill_at in range(1, 99):
        domain = defined(host, runs=True, drive=drive)
        domain.deaf, before = True, drives(domain.xml)
        host.connection.failures["update 1"] = [closed] * 9
        request = host.asked(
            SetCdromSpec(NAME, UUID, HOST, medium, allow_restart=True, stop_timeout=0)
        )
        if not host.dies(request, kill_at):
            break
        failure = host.next_job(request).failure
        assert "the guest did not shut down within 0 s" in failure.text
        assert drives(domain.xml) == drives(domain.XMLDesc()) == before, kill_at
        domain.destroy()
        domain.undefineFlags(0)
    assert kill_at > 5


def test_nothing_else_comes_into_a_drive(host: FakeHost, media: Path) -> None:
    domain = defined(host, runs=False)
    before = domain.xml
    (media / "shadow").write_text("root:x")
    (media / "shadow").chmod(0o644)
    iso(media / "secret.iso").chmod(0o600)
    iso(media / "seed.iso", b"cidata")
    iso(media / "config.iso", b"config-2")
    iso(media / "link.iso").unlink()
    (media / "link.iso").symlink_to(iso(media / "seed2.iso", b"CIDATA"))
    theirs = f"other.sda.{vm_uuid('o')[:8]}.iso"
    iso(host.pool / theirs)
    host.connection.pools[0].refresh()
    refused = {
        Medium(str(media / "shadow")): "is no ISO image",
        Medium(str(media / "secret.iso")): "is not for everybody on this host to read",
        Medium(str(media / "seed.iso")): "is a vm's own, or tells a cloud-init who it is",
        Medium(str(media / "config.iso")): "is a vm's own, or tells a cloud-init who it is",
        Medium(str(media / "link.iso")): "is a vm's own, or tells a cloud-init who it is",
        Medium(str(media)): "is not a file",
        Medium(str(media / "none.iso")): "No such file",
        Medium(None, "default", theirs): "is a vm's own, or tells a cloud-init who it is",
        Medium(None, "default", "none.iso"): "can't be found",
        Medium(None, "other", "a.iso"): "can't be found",
    }
    for medium, text in refused.items():
        ended = done(host, SetCdromSpec, medium)
        assert ended.failure is not None, medium
        assert text in ended.failure.text
    assert domain.xml == before


def test_a_vm_boots_from_what_is_asked_for(host: FakeHost) -> None:
    domain = defined(host, runs=True)
    ended = done(host, SetBootOrderSpec, (BootDevice.CDROM, BootDevice.DISK))
    assert ended.failure is None
    assert definition.describe(domain.xml).boot_order == ("cdrom", "disk")
    domain.xml = domain.xml.replace('<boot dev="cdrom" />', "").replace('<boot dev="hd" />', "")
    domain.xml = domain.xml.replace("<target", "<boot order='1'/><target", 1)
    assert definition.describe(domain.xml).boot_order == ("cdrom",)
    assert done(host, SetBootOrderSpec, (BootDevice.NETWORK,)).failure is None
    assert definition.describe(domain.xml).boot_order == ("network",)
    assert "order=" not in domain.xml


def test_one_that_boots_from_another_disk_than_its_first_is_changed(host: FakeHost) -> None:
    disks = "".join(
        f"<disk type='file'><source file='/{name}'/><target dev='{name}'/>{boot}</disk>"
        for name, boot in (("vda", "<boot order='2'/>"), ("vdb", "<boot order='1'/>"))
    )
    domain = defined(host, runs=False, drive=disks)
    domain.xml = domain.xml.replace("<boot dev='hd'/>", "")
    assert definition.describe(domain.xml).boot_order == ("other disk", "disk")
    assert done(host, SetBootOrderSpec, (BootDevice.DISK,)).vm.boot_order == ("disk",)
    assert "order=" not in domain.xml
