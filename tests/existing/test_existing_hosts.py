# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has things of its own joins the cloud, works in it, and leaves it again.

It has a guest that runs, a pool, a bridge, rules of nftables and settings of libvirtd. Nothing of
that changes, and what Maglica has brought goes with it, but for vms, which run on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest
from support.cloud import CHECKOUT, IMAGE, STATE, Cloud
from support.machine_state import LOOK, difference

VM = "stays0.example.jp"
OWN = """
set -e
mkdir /srv/own
echo mine > /srv/own/note
echo mine > /etc/libvirt/own.conf
sed -i 's/^#\\?auth_unix_rw *=.*/auth_unix_rw = "none"/' /etc/libvirt/libvirtd.conf
systemctl stop libvirtd.service
ip link add br9 type bridge
ip link set br9 up
nft -f - << 'END'
table inet own {
    chain input {
        type filter hook input priority 10; policy accept;
        tcp dport 9 drop
    }
}
END
virsh pool-define-as own dir --target /srv/own
virsh pool-start own
virsh vol-create-as own theirs.qcow2 16M --format qcow2
cat > /root/theirs.xml << 'END'
<domain type='qemu'>
  <name>theirs</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/srv/own/theirs.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'><source bridge='br9'/></interface>
  </devices>
</domain>
END
virsh define /root/theirs.xml
virsh start theirs
"""
NO_OWN = """
virsh destroy theirs
virsh undefine theirs
virsh pool-destroy own
virsh pool-undefine own
nft delete table inet own
ip link delete br9
rm -rf /srv/own /etc/libvirt/own.conf /root/theirs.xml
sed -i 's/^auth_unix_rw = "none"/#auth_unix_rw = "polkit"/' /etc/libvirt/libvirtd.conf
systemctl stop libvirtd.service
"""


def play(cloud: Cloud, playbook: str, host: str, *options: str) -> tuple[int, str]:
    """Run a playbook for one host; return how many tasks changed something, and what it printed."""
    output = cloud.run(
        *("ansible-playbook", str(CHECKOUT / f"playbooks/{playbook}.yml")),
        *("-i", str(STATE / "hosts.yml"), "--limit", host, *options),
    )
    (recap,) = re.findall(rf"^{host} +: ok=.* changed=(\d+) .*failed=0", output, re.MULTILINE)
    return int(recap), output


@pytest.fixture(scope="module")
def host(cloud: Cloud) -> Iterator[str]:
    """Return a host out of the cloud that has things of its own; it is put back in the end."""
    name = cloud.hosts[-1]
    play(cloud, "remove", name)
    cloud.ssh(name, OWN)
    yield name
    cloud.ssh(name, NO_OWN)
    play(cloud, "deploy", name)
    cloud.wait_alive(name, alive=True)


def look(cloud: Cloud, host: str) -> str:
    return cloud.ssh(host, LOOK)


def of_others(lines: Iterable[str]) -> list[str]:
    """Return the lines that tell nothing of Maglica's own. A folder changes with what is in it."""
    return sorted(line for line in lines if "maglica" not in line and VM not in line)


def test_check_mode_says_what_would_be_made_and_changes_nothing(cloud: Cloud, host: str) -> None:
    before = look(cloud, host)
    changed, output = play(cloud, "deploy", host, "--check", "--diff")
    assert changed
    assert f"{host} lacks /etc/maglica/host_worker.key" in " ".join(output.split())
    assert look(cloud, host) == before


def test_what_a_host_has_of_its_own_stays_as_it_is(cloud: Cloud, host: str) -> None:
    """Also where it is removed with force, a vm stays; and it is known when the host is back."""
    before = look(cloud, host)
    assert "theirs" in before
    play(cloud, "deploy", host)
    cloud.wait_alive(host, alive=True)
    deployed = difference(before, look(cloud, host))
    assert of_others(deployed.went | deployed.came) == []
    assert play(cloud, "deploy", host)[0] == 0

    made = cloud.vm(VM, image=IMAGE, host=host, state="running")
    assert made.status == "CHANGED", made.output
    with_vm = look(cloud, host)
    assert f"guest {VM}" in re.sub(r"guest \d+ ", "guest ", with_vm)

    before_check = look(cloud, host)
    changed, output = play(cloud, "remove", host, "--check")
    assert changed
    assert "/etc/maglica/host_worker.key" in output
    assert look(cloud, host) == before_check

    _changed, output = play(cloud, "remove", host)
    assert "These bases stay" in output
    removed = difference(with_vm, look(cloud, host))
    assert of_others(removed.went | removed.came) == []
    left = difference(before, look(cloud, host))
    assert left.went == set()
    assert [line for line in left.came if "maglica" in line and not line.startswith("domain")] == []
    assert f"host {host} " not in cloud.ssh(cloud.client, "cat /etc/maglica/access")
    assert play(cloud, "remove", host)[0] == 0

    play(cloud, "deploy", host)
    cloud.wait_alive(host, alive=True)
    assert cloud.vm(VM, image=IMAGE, state="running").status == "SUCCESS"
    gone = cloud.vm(VM, state="absent")
    assert gone.status == "CHANGED", gone.output
