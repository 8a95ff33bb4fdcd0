# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is changed of a vm that runs, looked at from inside its guest."""

from __future__ import annotations

import pytest
from support.client_worker import eventually
from support.cloud import Cloud, Result

NAME = "changed0.example.jp"
DATA = "/dev/disk/by-id/virtio-data"
MIB = 1 << 20
MAC = "52:54:00:00:24:01"
UNIT = "/etc/systemd/network/50-second.network"
NETWORK = f"[Match]\\nMACAddress={MAC}\\n[Network]\\nDHCP=ipv4\\n"


class Guest:
    """A vm that runs, as its user changes it and as one sees it who is logged in to it."""

    def __init__(self, cloud: Cloud, made: Result) -> None:
        self._cloud = cloud
        (self.address,) = made["vm"]["interfaces"][0]["addresses"]

    def change(self, **arguments) -> Result:
        """Change the vm, which is foreseen by check mode, and is then as it was asked for."""
        foreseen = self._cloud.vm(NAME, "--check", **arguments)
        changed = self._cloud.vm(NAME, **arguments)
        assert changed.status == foreseen.status == "CHANGED", changed.output
        assert changed["vm"]["restart_needed"] is False
        assert self._cloud.vm(NAME, **arguments).status == "SUCCESS"
        return changed

    def run(self, command: str) -> str:
        return self._cloud.in_guest(self.address, command)


@pytest.fixture(scope="module")
def guest(cloud: Cloud, clone) -> Guest:
    return Guest(cloud, clone(NAME, memory=320, wait_for="address"))


def test_a_disk_comes_grows_and_goes(guest: Guest) -> None:
    guest.change(disks=[{"name": "data", "size": "32MiB"}])
    eventually(lambda: guest.run(f"ls {DATA} || true") == DATA)
    assert int(guest.run(f"blockdev --getsize64 {DATA}")) == 32 * MIB
    guest.run(f"mkfs.ext4 -q {DATA} && mount {DATA} /mnt && echo kept > /mnt/note")
    guest.change(disks=[{"name": "data", "size": "48MiB"}])
    eventually(lambda: int(guest.run(f"blockdev --getsize64 {DATA}")) == 48 * MIB)
    assert guest.run(f"resize2fs {DATA} 2> /dev/null; cat /mnt/note; umount /mnt").endswith("kept")
    guest.change(disks=[{"name": "data", "state": "absent"}])
    eventually(lambda: not guest.run(f"ls {DATA} 2> /dev/null || true"))


def test_memory_goes_and_comes(guest: Guest) -> None:
    def total() -> int:
        return int(guest.run("free -m").split()[7])

    before = total()
    guest.change(memory=256)
    eventually(lambda: total() <= before - 60)
    guest.change(memory=320)
    eventually(lambda: total() == before)


def test_an_interface_comes_gets_its_address_and_goes(guest: Guest) -> None:
    def cards() -> set[str]:
        return set(guest.run("cat /sys/class/net/*/address").split())

    before = guest.change(interfaces=[{}, {"network": "default", "mac": MAC}])
    assert [each["mac"] for each in before["vm"]["interfaces"]][1] == MAC
    eventually(lambda: MAC in cards())
    # Its configuration is the guest's own.
    guest.run(f"printf '{NETWORK}' > {UNIT}; networkctl reload")
    eventually(lambda: guest.run("ip -4 -o address").count("scope global") == 2)
    guest.change(interfaces=[{"mac": MAC, "link": "down"}])
    carrier = f"cat /sys/class/net/$(basename $(dirname $(grep -l {MAC} /sys/class/net/*/address)))"
    eventually(lambda: guest.run(f"{carrier}/carrier") == "0")
    guest.change(interfaces=[{"mac": MAC, "state": "absent"}])
    eventually(lambda: MAC not in cards())


def test_a_paused_guest_says_nothing_and_goes_on(cloud: Cloud, guest: Guest) -> None:
    began = guest.run("cut -d. -f1 /proc/uptime")
    assert guest.change(state="paused")["vm"]["state"] == "paused"
    assert guest.change(state="running")["vm"]["state"] == "running"
    assert int(guest.run("cut -d. -f1 /proc/uptime")) >= int(began)
