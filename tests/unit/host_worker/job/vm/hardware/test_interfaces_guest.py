# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever becomes of a vm's interfaces, what its guest is told and has on its disks stays."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.model.card import Card, Link
from maglica.model.request import Request, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.remove_interface import RemoveInterfaceSpec
from support.fake_host import FakeHost
from support.fake_libvirt import Domain

NAME, HOST, UUID = "vm0.example.jp", "kvm0.example.jp", vm_uuid("r")
OLD, NEW = "52:54:00:00:00:01", "52:54:00:00:00:02"
RESTART = {"allow_restart": True, "force": True, "stop_timeout": 0}
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata>
    <maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'>{{volumes}}
      <maglica:address mac='{OLD}' address='192.0.2.7/24'/>
    </maglica:vm>
  </metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{{disks}}
    <interface type='network'><mac address='{OLD}'/><source network='default'/></interface>
  </devices>
</domain>"""


def define(host: FakeHost, has_seed: bool) -> Domain:
    """Define a vm whose cloud-init has a medium, or which was written to before it was started."""
    volumes = disks = ""
    for target, device in (("vda", "disk"), ("sda", "cdrom"))[: 1 + has_seed]:
        path = host.pool / f"{NAME}.{target}.{UUID[:8]}.qcow2"
        path.write_bytes(b"network-config" if device == "cdrom" else b"guest")
        volumes += (
            f"<maglica:volume target='{target}' pool='default' name='{path.name}' path='{path}'/>"
        )
        disks += (
            f"<disk type='file' device='{device}'><source file='{path}'/>"
            f"<target dev='{target}' bus='sata'/></disk>"
        )
    return host.connection.defineXML(XML.format(volumes=volumes, disks=disks))


def guest(host: FakeHost, domain: Domain) -> list[object]:
    """All that a guest is told, or has: its volumes, and its definition without its interfaces."""
    root = ET.fromstring(domain.xml)
    devices = root.find("devices")
    assert devices is not None
    for nic in devices.findall("interface"):
        devices.remove(nic)
    states = [(path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(host.pool.iterdir())]
    told = ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)
    return [sorted(path.name for path in host.pool.iterdir()), states, told, host.guests]


@pytest.mark.parametrize("has_seed", [True, False], ids=["seed", "offline"])
@pytest.mark.parametrize("how", [{}, RESTART], ids=["as it is", "may restart"])
@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_it_is_left_alone(host: FakeHost, has_seed: bool, how: dict, runs: bool) -> None:
    domain = define(host, has_seed)
    if runs:
        domain.create()
    before = guest(host, domain)
    specs = (
        AddInterfaceSpec(NAME, UUID, HOST, NEW, "lan", **how),
        ChangeInterfaceSpec(NAME, UUID, HOST, NEW, network="default", card=Card(link=Link.DOWN)),
        ChangeInterfaceSpec(NAME, UUID, HOST, OLD, "52:54:00:00:00:03", **how),
        RemoveInterfaceSpec(NAME, UUID, HOST, NEW, **how),
    )
    for spec in specs:
        request = Request(new_request_id(), spec, host=HOST)
        host.context.journal.accept([request])
        main.run([request.id], host.context)
        assert host.now(request).failure is None
        assert guest(host, domain) == before
    # What it does is done to the vm's cards, or to the vm as a whole.
    acts = {call.partition(" ")[0] for call in host.connection.calls}
    assert acts <= {
        *("attach", "update", "detach", "defineXML", "lookupByUUIDString"),
        *("create", "shutdown", "destroy"),
    }
