# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found out about a guest, and what is done to its base."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.guest.base_plan import clean, dhclient, lay_out
from maglica.guest.clone_plan import plan
from maglica.guest.edits import Write, apply
from maglica.guest.facts import GuestInterface, Mount
from maglica.guest.filesystem import Kind
from maglica.guest.identity import Identity, NicIdentity
from maglica.guest.inspect import Findings, OperatingSystem, examine
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True)


def make_guest(**changes: str | None) -> FakeFilesystem:
    files = {path: content for path, content in debian.FILES.items() if path not in changes}
    return FakeFilesystem(files)


def found(guest: FakeFilesystem) -> Findings:
    return examine(guest, SYSTEM)


def prepared(guest: FakeFilesystem) -> FakeFilesystem:
    findings = found(guest)
    edits, _other = lay_out(findings)
    apply((*clean(findings), *edits), guest)
    return guest


def test_facts() -> None:
    facts = found(make_guest()).facts
    assert (facts.distro, facts.version, facts.shared) == ("debian", "12", True)
    assert facts.mounts == SYSTEM.mounts
    assert facts.network == "ifupdown"
    assert facts.hostname == debian.HOSTNAME
    assert facts.hosts == debian.FILES["etc/hosts"]
    assert facts.interfaces == (
        GuestInterface("eth0", True, "auto", ("mtu 1400",)),
        GuestInterface("eth1"),
    )
    assert facts.addresses == ("192.0.2.10",)
    assert facts.resolver == "file"
    assert facts.ssh_host_keys == ("ecdsa", "ed25519")
    assert facts.random_seed == "/var/lib/systemd/random-seed"
    assert facts.authorized_keys == "ssh-ed25519 AAAAKEPT admin\n"


@pytest.mark.parametrize(
    ("text", "hostname"),
    [
        ("", ""),
        ("# comment\nbox\n", "box"),
        ("b;rm -rf\n", ""),
        ("x" * 300, ""),
        ("  a.b \n", "a.b"),
    ],
)
def test_old_host_name(text: str, hostname: str) -> None:
    guest = make_guest()
    guest.add_file("/etc/hostname", text)
    assert found(guest).facts.hostname == hostname


def test_a_guest_without_hosts_gets_localhost() -> None:
    guest = make_guest()
    guest.remove("/etc/hosts")
    assert found(guest).facts.hosts == "127.0.0.1\tlocalhost\n"


def test_resolv_conf_that_is_a_link_is_managed() -> None:
    guest = make_guest()
    guest.add_link("/etc/resolv.conf", "../run/resolvconf/resolv.conf")
    assert found(guest).facts.resolver == "managed"


@pytest.mark.parametrize(
    ("keys", "sshd", "types"),
    [
        (["rsa", "dsa", "ed25519"], False, ("ed25519",)),
        ([], False, ()),
        ([], True, ("ecdsa", "ed25519")),
        (["rsa"], True, ("rsa",)),
    ],
)
def test_types_of_ssh_host_keys(keys: list[str], sshd: bool, types: tuple[str, ...]) -> None:
    guest = make_guest()
    for path in guest.glob("/etc/ssh/*"):
        guest.remove(path)
    for kind in keys:
        guest.add_file(f"/etc/ssh/ssh_host_{kind}_key")
    if sshd:
        guest.add_file("/usr/sbin/sshd")
    assert found(guest).facts.ssh_host_keys == types


@pytest.mark.parametrize(
    ("present", "path"),
    [
        ([], None),
        (["/var/lib/systemd/other"], None),
        (["/var/lib/urandom/random-seed"], "/var/lib/urandom/random-seed"),
        (["/var/lib/random-seed"], "/var/lib/random-seed"),
    ],
)
def test_random_seed(present: list[str], path: str | None) -> None:
    guest = make_guest()
    del guest.nodes["/var/lib/systemd/random-seed"], guest.nodes["/var/lib/systemd"]
    for each in present:
        guest.add_file(each)
    assert found(guest).facts.random_seed == path


@pytest.mark.parametrize("path", ["/etc/hostname", "/etc/hosts", "/etc/machine-id"])
@pytest.mark.parametrize("kind", [Kind.OTHER, Kind.DIRECTORY])
def test_odd_files_are_refused(path: str, kind: Kind) -> None:
    guest = make_guest()
    guest.remove(path)
    if kind is Kind.OTHER:
        guest.add_other(path)
    else:
        guest.add_directory(path)
    with pytest.raises(GuestUnsupported, match=f"{path} in the guest is not a plain file"):
        found(guest)


def test_etc_that_is_a_link_is_refused() -> None:
    guest = FakeFilesystem()
    guest.add_link("/etc", "/usr/etc")
    with pytest.raises(GuestUnsupported, match="no directory /etc"):
        found(guest)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/etc/netplan/50-cloud.yaml", "netplan"),
        ("/etc/systemd/network/lan.network", "systemd-networkd"),
        ("/etc/NetworkManager/system-connections/lan", "NetworkManager"),
        ("/etc/sysconfig/network-scripts/ifcfg-eth0", "network-scripts"),
        ("/etc/anything", "in a way that is not known"),
    ],
)
def test_other_networks_are_named(path: str, name: str) -> None:
    guest = make_guest()
    guest.remove("/usr/sbin/ifup")
    guest.add_file(path)
    with pytest.raises(GuestUnsupported, match=f"{name}.*supported: ifupdown"):
        found(guest)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("SELINUX=enforcing\n", True),
        ("# SELINUX=enforcing\nSELINUX = permissive\n", True),
        ("SELINUX=disabled\n", False),
        ("", False),
    ],
)
def test_selinux(config: str, expected: bool) -> None:
    guest = make_guest()
    guest.add_file("/etc/selinux/config", config)
    assert found(guest).selinux is expected
    assert (prepared(guest).kind("/.autorelabel") is Kind.FILE) is expected


@pytest.mark.parametrize(
    "path",
    [
        "/etc/network/interfaces.d/more",
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/var/lib/dhcp/dhclient.eth0.leases",
        "/var/lib/dbus/machine-id",
        "/var/lib/systemd/credential.secret",
        "/boot/efi/loader/random-seed",
        "/etc/ssh/ssh_host_dsa_key",
        "/etc/dhcpcd.duid",
        "/var/lib/dhcpcd/eth0.lease",
        "/var/lib/dhcpv6/dhcp6c_duid",
        "/var/lib/dibbler/client-duid",
        "/var/lib/wicked/duid.xml",
        "/var/lib/dhcpcd/lan/eth0.lease",
        "/etc/nvme/hostid",
        "/etc/nvme/hostnqn",
        "/var/lib/NetworkManager/secret_key",
    ],
)
def test_the_image_s_identity_goes(path: str) -> None:
    guest = make_guest()
    if guest.kind(path) is Kind.ABSENT:
        guest.add_file(path, "secret")
    assert prepared(guest).kind(path) is Kind.ABSENT


def test_an_initiator_names_itself_where_it_can() -> None:
    """Debian's start of iSCSI makes a name when the file says so; what nobody uses stays."""
    path = "/etc/iscsi/initiatorname.iscsi"
    guest = make_guest()
    guest.add_file(path, "InitiatorName=iqn.1993-08.org.debian:01:0123")
    assert prepared(guest).text(path) == "InitiatorName=iqn.1993-08.org.debian:01:0123"
    guest.add_file("/usr/sbin/iscsid")
    with pytest.raises(GuestUnsupported, match=f"{path} in the guest names iSCSI's initiator"):
        found(guest)
    guest.add_file("/usr/lib/open-iscsi/startup-checks.sh")
    assert prepared(guest).text(path) == "GenerateName=yes\n"
    assert guest.mode(path) == 0o600


def test_files_are_laid_out_empty_with_their_modes() -> None:
    guest = prepared(make_guest())
    for path, mode in {
        "/etc/machine-id": 0o444,
        "/etc/hostname": 0o644,
        "/etc/ssh/ssh_host_ed25519_key": 0o600,
        "/etc/ssh/ssh_host_ecdsa_key.pub": 0o644,
        "/var/lib/systemd/random-seed": 0o600,
        "/etc/network/interfaces": 0o644,
    }.items():
        assert (guest.text(path), guest.mode(path)) == ("", mode)


def test_a_clone_fills_just_what_is_laid_out() -> None:
    _other, facts = lay_out(found(make_guest()))
    identity = Identity("vm0", "0" * 32, (NicIdentity("52:54:00:00:00:01"),))
    written = {edit.path for edit in plan(facts, identity) if isinstance(edit, Write)}
    keys = {path for path in facts.laid_out if path.startswith("/etc/ssh/")}
    assert written | keys == set(facts.laid_out)


def test_a_machine_id_that_is_a_link_becomes_a_file() -> None:
    guest = make_guest()
    guest.add_link("/etc/machine-id", "/var/lib/dbus/machine-id")
    assert prepared(guest).kind("/etc/machine-id") is Kind.FILE
    assert guest.kind("/var/lib/dbus/machine-id") is Kind.ABSENT


def test_a_d_bus_machine_id_that_is_a_link_stays() -> None:
    guest = make_guest()
    guest.add_link("/var/lib/dbus/machine-id", "/etc/machine-id")
    assert prepared(guest).kind("/var/lib/dbus/machine-id") is Kind.SYMLINK


def test_a_lease_s_servers_come_after_those_that_a_clone_is_given() -> None:
    hook = "/etc/dhcp/dhclient-enter-hooks.d/zz-maglica"
    assert "dns-nameservers" in prepared(make_guest()).text(hook)
    managed = make_guest(**{"etc/resolv.conf": None})
    managed.add_link("/etc/resolv.conf", "../run/resolvconf/resolv.conf")
    assert prepared(managed).kind(hook) is Kind.ABSENT
    without = make_guest(**{"etc/dhcp/dhclient.conf": None})
    assert prepared(without).kind(hook) is Kind.ABSENT


def test_cloud_init_is_told() -> None:
    path = "/etc/cloud/cloud.cfg.d/zz-maglica.cfg"
    assert prepared(make_guest()).kind(path) is Kind.ABSENT
    guest = make_guest()
    guest.add_file("/etc/cloud/cloud.cfg.d/05_logging.cfg")
    guest.add_file("/etc/cloud/cloud.cfg.d/custom-network.cfg")
    told = prepared(guest).text(path)
    assert "ssh_deletekeys: false" in told
    assert 'locale: "false"' in told.splitlines()
    # Else it would find no datasource, and do nothing at all: no root file system would grow.
    assert "datasource_list: [None]" in told.splitlines()
    # The last one in the order of names is the one that counts.
    assert guest.glob("/etc/cloud/cloud.cfg.d/*.cfg")[-1] == path


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/cloud/instances/i-1/user-data.txt",
        "/var/lib/cloud/instances/i-1/sem/config_ssh",
        "/var/lib/cloud/data/instance-id",
        "/var/lib/cloud/seed/nocloud-net/user-data",
        "/etc/krb5.keytab",
        "/etc/pki/consumer/key.pem",
    ],
)
def test_what_the_image_was_given_goes(path: str) -> None:
    guest = make_guest()
    guest.add_file(path, "secret")
    guest.add_file("/var/lib/cloud/scripts/per-boot/mine", "#!/bin/sh")
    assert prepared(guest).kind(path) is Kind.ABSENT
    assert guest.kind("/var/lib/cloud/scripts/per-boot/mine") is Kind.FILE


@pytest.mark.parametrize(
    "path",
    ["/boot/efi/loader/entries/a-6.1.conf", "/boot/loader/entries/a.conf", "/boot/grub/grub.cfg"],
)
def test_an_id_on_the_kernel_s_command_line_refuses_the_image(path: str) -> None:
    guest = make_guest()
    guest.add_file(path, "# systemd.machine_id=0\noptions root=/dev/vda1 quiet\n")
    assert found(guest)
    guest.add_file(path, f"options root=/dev/vda1 systemd.machine_id={'1' * 32}\n")
    with pytest.raises(GuestUnsupported, match=f"{path} in the guest has 'systemd.machine_id=111"):
        found(guest)


def test_drop_ins_with_odd_names_are_removed_alone() -> None:
    folder = "/etc/network/interfaces.d"
    odd, others = ("[a]*?", "a{x,y}", "a\\x"), ("axx", "ax")
    findings = replace(found(make_guest()), network_files=tuple(f"{folder}/{name}" for name in odd))
    guest = FakeFilesystem({f"{folder}/{name}": "" for name in odd + others})
    apply(clean(findings), guest)
    assert guest.glob(f"{folder}/*") == (f"{folder}/ax", f"{folder}/axx")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "send host-name = gethostname();\n"),
        ("send host-name = gethostname();\n", "send host-name = gethostname();\n"),
        (
            'timeout 60;\n  send host-name "image";\nrequest routers;\n',
            "timeout 60;\n\nrequest routers;\nsend host-name = gethostname();\n",
        ),
        ('# send host-name "x";\n', '# send host-name "x";\nsend host-name = gethostname();\n'),
        (
            'interface "eth0" { send host-name "a"; send dhcp-client-identifier 1:52:54; }\n',
            'interface "eth0" { }\nsend host-name = gethostname();\n',
        ),
        (
            'send dhcp-client-identifier "a";\nsend fqdn.fqdn "a.example.jp.";\n',
            "send host-name = gethostname();\n",
        ),
        (
            "send dhcp-client-identifier = hardware;\n",
            "send dhcp-client-identifier = hardware;\nsend host-name = gethostname();\n",
        ),
        ('supersede host-name "a";\n', "send host-name = gethostname();\n"),
    ],
)
def test_dhclient(old: str, new: str) -> None:
    assert dhclient(old) == new
