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
from support.cloud import IMAGE, STATE, Cloud
from support.machine_state import LOOK, Difference, difference
from support.playbooks import play

VM = "stays0.example.jp"
RUNS = {"image": IMAGE, "customize": "none", "ssh_authorized_keys": [], "state": "running"}
# As the role has installed it.
COMMAND = str(STATE / "maglica")
OPEN = ("queued", "sent", "running")
OWN = """
set -e
mkdir /srv/own
echo mine > /srv/own/note
echo mine > /etc/libvirt/own.conf
sed -i 's/^#\\?auth_unix_rw *=.*/auth_unix_rw = "none"/' /etc/libvirt/libvirtd.conf
systemctl stop libvirtd.service
ip link add br9 type bridge
ip link set br9 up
iptables -N own
iptables -A own -p tcp --dport 9 -j DROP
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
iptables -F own
iptables -X own
ip link delete br9
rm -rf /srv/own /etc/libvirt/own.conf /root/theirs.xml
sed -i 's/^auth_unix_rw = "none"/#auth_unix_rw = "polkit"/' /etc/libvirt/libvirtd.conf
systemctl stop libvirtd.service
"""


@pytest.fixture(scope="module")
def host(cloud: Cloud) -> Iterator[str]:
    """Return a host out of the cloud that has things of its own; it is put back in the end."""
    name = cloud.hosts[-1]
    play(cloud, "remove", "--limit", name)
    cloud.ssh(name, OWN)
    yield name
    cloud.ssh(name, NO_OWN)
    play(cloud, "deploy", "--limit", name)
    cloud.wait_alive(name, alive=True)
    cloud.vm(VM, state="absent")


def look(cloud: Cloud, host: str) -> str:
    return cloud.ssh(host, LOOK)


# libvirtd has a block in its file, certificates, and one more socket.
OURS = re.compile(r"maglica|/etc/libvirt/libvirtd[.]conf$|/etc/pki|libvirtd-tls[.]socket|:16514$")


def of_others(lines: Iterable[str]) -> list[str]:
    """Return the lines that tell nothing of Maglica's own."""
    return sorted(line for line in lines if not OURS.search(line))


def test_check_mode_says_what_would_be_made_and_changes_nothing(cloud: Cloud, host: str) -> None:
    before = look(cloud, host)
    changed, output = play(cloud, "deploy", "--limit", host, "--check", "--diff")
    assert changed
    assert f"{host} lacks /etc/maglica/host_worker.key" in " ".join(output.split())
    assert difference(before, look(cloud, host)) == Difference()


def test_what_a_host_has_of_its_own_stays_as_it_is(cloud: Cloud, host: str) -> None:
    before = look(cloud, host)
    assert "guest" in before
    play(cloud, "deploy", "--limit", host)
    cloud.wait_alive(host, alive=True)
    deployed = difference(before, look(cloud, host))
    assert of_others(deployed.went) == []
    assert of_others(deployed.came) == []

    listed = cloud.run(COMMAND, "request", "list", *(f"--state={each}" for each in OPEN))
    assert host not in listed
    made = cloud.vm(VM, host=host, **RUNS)
    assert made.status == "CHANGED", made.output
    with_vm = look(cloud, host)
    _changed, output = play(cloud, "remove", "--limit", host)
    assert "These bases stay" in output
    removed = difference(with_vm, look(cloud, host))
    assert of_others(removed.went | removed.came) == []

    # The vm and its disks, which are all that is left.
    left = difference(before, look(cloud, host))
    assert left.went == set()
    kinds = (
        r"domain|guest|card vnet|(entry|content \w+ ) (/etc/libvirt/qemu/|/var/lib/libvirt/images/)"
    )
    assert [line for line in left.came if not re.match(kinds, line)] == []
    assert re.search(rf"^guest \d+ {re.escape(VM)}$", "\n".join(left.came), re.MULTILINE)
    assert f"host {host} " not in cloud.ssh(cloud.client, "cat /etc/maglica/access")
    assert play(cloud, "remove", "--limit", host)[0] == 0

    play(cloud, "deploy", "--limit", host)
    cloud.wait_alive(host, alive=True)
    again = cloud.vm(VM, **RUNS)
    assert again.status == "SUCCESS", again.output
    gone = cloud.vm(VM, state="absent")
    assert gone.status == "CHANGED", gone.output


GONE = """
ls -d /etc/maglica /usr/local/lib/maglica /var/lib/maglica-* /etc/systemd/system/*maglica*
getent passwd maglica
systemctl list-units --all --no-legend 'maglica-*'
"""


def test_all_of_it_goes_and_comes_again(cloud: Cloud) -> None:
    """A file of somebody's own in a folder of Maglica's stays, and is named."""
    mine = "/etc/maglica/mine"
    cloud.ssh(cloud.client, f"touch {mine}")
    changed, output = play(cloud, "remove", "--check")
    assert changed
    for path in (mine, STATE / "library.key", STATE / "maglica.conf", STATE / "maglica"):
        assert str(path) in output
    assert (STATE / "library.key").exists()

    _changed, output = play(cloud, "remove")
    assert f"for it has {mine}." in " ".join(output.split())
    for name in ("library.key", "library.pub", "maglica.conf", "maglica"):
        assert not (STATE / name).exists()
    assert cloud.ssh(cloud.client, f"rm {mine}; rmdir /etc/maglica; {GONE}", check=False) == ""
    for host in cloud.hosts:
        assert cloud.ssh(host, GONE, check=False) == ""
    assert play(cloud, "remove")[0] == 0

    play(cloud, "deploy")
    for host in cloud.hosts:
        cloud.wait_alive(host, alive=True)
    assert all(host in cloud.run(COMMAND, "host", "list") for host in cloud.hosts)
