# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest of systemd-networkd is cloned, and this machine's networkd reads what the clones have."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.disk import qemu_img
from maglica.guest import ssh_keys
from maglica.guest.appliance.appliance import Drive
from maglica.guest.areas.writes import Writer
from maglica.guest.clone_plan import plan
from maglica.guest.customize import Guest, write_areas
from maglica.guest.facts import GuestFacts
from maglica.guest.identity import Identity, NicIdentity
from maglica.guest.prepare import placed
from support import guest as debian
from support import networkd
from support.guest import Disk
from support.offline_base import prepare_offline

pytestmark = pytest.mark.timeout(600)

ENABLED = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
NETWORK = "etc/systemd/network"
SHIPPED = "usr/lib/systemd/network"
CHANGES: dict[str, str | None] = {
    **dict.fromkeys(("etc/network/interfaces", "etc/network/interfaces.d/more", "usr/sbin/ifup")),
    "usr/lib/systemd/systemd-networkd": "",
    f"{SHIPPED}/80-container-ve.network": "[Match]\nName=ve-*\n[Network]\nAddress=0.0.0.0/28\n",
    # The image's own card, by its address; then what would be applied to each clone's cards.
    f"{NETWORK}/10-lan.network": "[Match]\nMACAddress=52:54:00:12:34:56\n"
    "[Link]\nMTUBytes=1400\n[Network]\nAddress=203.0.113.10/24\nGateway=203.0.113.1\n",
    f"{NETWORK}/00-all.network": "[Match]\nName=br*\n[Network]\nLLMNR=no\n",
    f"{NETWORK}/20-all.network": "[Match]\nName=e*\n[Network]\nDHCP=yes\n",
    f"{NETWORK}/20-all.network.d/own.conf": "[Network]\nAddress=\nAddress=203.0.113.11/24\n",
}
MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
# The gateway of IPv4 is one that the address does not reach.
STATIC = NicIdentity(
    MACS[1], ("192.0.2.7/32", "2001:db8::7/64"), ("192.0.2.1", "2001:db8::1"), ("192.0.2.53",)
)
CLONES = {
    "web0.example.jp": Identity("web0.example.jp", "0" * 31 + "1", (NicIdentity(MACS[0]), STATIC)),
    "web1.example.jp": Identity("web1.example.jp", "0" * 31 + "2", (NicIdentity(MACS[0]),)),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drive, GuestFacts]:
    folder = tmp_path_factory.mktemp("networkd")
    tree = debian.make_tree(folder / "tree", CHANGES)
    (tree / ENABLED).parent.mkdir(parents=True)
    (tree / ENABLED).symlink_to("/lib/systemd/system/systemd-networkd.service")
    disk = debian.make_disk(folder / "disk.raw", tree)
    base = folder / "base.qcow2"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(base)]
    subprocess.run(command, check=True)
    drive = Drive(str(base), "qcow2")
    return drive, placed(prepare_offline([drive]), [drive], qemu_img.map_of)


@pytest.fixture(scope="module")
def disks(prepared: tuple[Drive, GuestFacts]) -> dict[str, Disk]:
    """The clones' disks, each written to without an appliance."""
    base, facts = prepared
    guests = []
    for name, own in CLONES.items():
        folder = Path(base.path).with_name(name)
        folder.mkdir()
        keys = ssh_keys.host_keys(facts.ssh_host_keys, name, folder)
        identity = replace(own, host_keys=keys, random_seed=bytes(512))
        overlay = Path(base.path).with_name(f"{name}.qcow2")
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.path, "-F", "qcow2"]
        subprocess.run([*command, str(overlay)], check=True)
        guests.append(Guest(name, (Drive(str(overlay), "qcow2"),), plan(facts, identity)))
    with Writer() as writer:
        assert write_areas(guests, facts, [base], writer) == dict.fromkeys(CLONES)
    paths = {guest.key: Path(guest.drives[0].path) for guest in guests}
    return {name: Disk(str(path), path.with_suffix(".look")) for name, path in paths.items()}


@pytest.fixture(scope="module")
def configured(
    disks: dict[str, Disk], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, networkd.Configured]:
    """What this machine's networkd makes of the clones' files, on cards of their own."""
    leased = f"{networkd.LEASED}/24"
    return {
        name: networkd.run(
            files_of(disk, tmp_path_factory.mktemp("etc")),
            [nic.mac for nic in CLONES[name].nics],
            [leased, *(text for nic in CLONES[name].nics for text in nic.addresses + nic.gateways)],
        )
        for name, disk in disks.items()
    }


def files_of(disk: Disk, etc: Path) -> Path:
    """Make a folder of what a guest has in /etc for networkd, which reads it as another user."""
    for path in (etc.parent, etc, etc / "network"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    for name in ("hostname", "machine-id"):
        (etc / name).write_text(disk.text(f"/etc/{name}"))
    for name in disk.names(f"/{NETWORK}"):
        if not name.endswith(".d"):
            (etc / "network" / name).write_text(disk.text(f"/{NETWORK}/{name}"))
    return etc


def test_facts(prepared: tuple[Drive, GuestFacts]) -> None:
    _base, facts = prepared
    assert facts.network == "systemd-networkd"
    assert [each.name for each in facts.interfaces] == ["52:54:00:12:34:56", ""]
    assert facts.addresses == ("203.0.113.10", "203.0.113.11")
    assert {area.path for area in facts.areas} == set(facts.laid_out)


def test_what_was_the_image_s_is_gone(disks: dict[str, Disk]) -> None:
    for disk in disks.values():
        ours = [f"00-maglica-{number}.network" for number in range(4)]
        kept = ["00-all.network", *ours, "20-all.network", "20-all.network.d"]
        assert disk.names(f"/{NETWORK}") == kept
        assert disk.names(f"/{NETWORK}/20-all.network.d") == []
        assert disk.problems() == ""


def test_each_lease_bears_the_new_name(configured: dict[str, networkd.Configured]) -> None:
    assert [made.name for made in configured.values()] == list(CLONES)
    clients = {made.client for made in configured.values()}
    # RFC 4361: 255, four bytes for the card, then the DUID; networkd's has systemd's number 43793.
    assert [(client[:2], client[10:22]) for client in clients] == [("ff", "00020000ab11")] * 2
    assert len({client[22:] for client in clients}) == 2


def test_each_card_has_its_addresses(configured: dict[str, networkd.Configured]) -> None:
    leased = [f"{networkd.LEASED}/24"]
    assert configured["web0.example.jp"].addresses == {
        MACS[0]: leased,
        MACS[1]: ["192.0.2.7/32", "2001:db8::7/64"],
    }
    assert configured["web1.example.jp"].addresses == {MACS[0]: leased}
