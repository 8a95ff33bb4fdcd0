# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of an image's cloud-init, and whether it would obey."""

from __future__ import annotations

import re

import pytest
from maglica.guest.cloud_init.inspect import CloudInit, examine
from maglica.guest.filesystem import Kind
from support.fake_filesystem import FakeFilesystem

CONFIG = """\
users: [default]
cloud_init_modules:
 - growpart
 - [set_hostname, always]
 - users-groups
 - ssh
system_info:
  distro: debian
  default_user: {name: debian, lock_passwd: true}
"""
PINNED = "system_info: {network: {renderers: [netplan]}}\n"
GRUB = "\tlinux /boot/vmlinuz root=UUID=1 ro console=ttyS0 %s\n"


def make_guest(**files: str) -> FakeFilesystem:
    """A guest as Debian's packages leave it, with files of cloud.cfg.d by their names."""
    guest = FakeFilesystem(
        {
            "usr/bin/cloud-init": "",
            "usr/lib/systemd/systemd": "",
            "usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "22.4.2"\n',
            "usr/sbin/netplan": "",
            "usr/lib/systemd/systemd-networkd": "",
            "etc/cloud/cloud.cfg": CONFIG,
            "boot/grub/grub.cfg": GRUB % "quiet",
        }
    )
    wants = "/etc/systemd/system/cloud-init.target.wants"
    guest.add_link(f"{wants}/cloud-init-local.service", "/lib/systemd/system/cloud-init.service")
    for name, content in files.items():
        guest.add_file(f"/etc/cloud/cloud.cfg.d/{name}.cfg", content)
    return guest


def test_an_image_for_clouds() -> None:
    found = examine(make_guest(_90="datasource_list: [ NoCloud, ConfigDrive, None ]\n"))
    assert found == CloudInit(
        True,
        None,
        (22, 4),
        ("NoCloud", "ConfigDrive", "None"),
        "debian",
        ("netplan", "networkd"),
    )


def test_a_seed_by_the_usual_ways_is_no_problem() -> None:
    guest = make_guest(_90="datasource: {NoCloud: {fs_label: CIDATA}}\n")
    guest.add_file("/boot/grub/grub.cfg", GRUB % "ds=nocloud")
    assert examine(guest).problem is None


def test_an_image_without_it() -> None:
    assert examine(FakeFilesystem({"etc/cloud/cloud.cfg": CONFIG})) == CloudInit(
        False, "is not there"
    )


def test_nothing_said_of_datasources_is_all_of_them() -> None:
    found = examine(make_guest())
    assert (found.datasources, found.problem) == (None, None)


@pytest.mark.parametrize(
    ("files", "sources"),
    [
        ({"_10": "datasource_list: [Ec2]\n", "_90": "datasource_list: [NoCloud]\n"}, ("NoCloud",)),
        ({"_10": "datasource_list:\n- NoCloud\n", "_90": "[]\n"}, ("NoCloud",)),
        ({"_10": "datasource_list: NoCloud\n", "_90": ""}, ("NoCloud",)),
    ],
)
def test_the_last_file_counts(files: dict[str, str], sources: tuple[str, ...]) -> None:
    found = examine(make_guest(**files))
    assert (found.datasources, found.problem) == (sources, None)


def test_a_main_file_counts_less_than_those_beside_it() -> None:
    guest = make_guest(_10="system_info: {default_user: {gecos: Other}}\n")
    assert examine(guest).default_user == "debian"
    guest = make_guest(_10="system_info: {default_user: {name: admin}}\n")
    assert examine(guest).default_user == "admin"
    # What is not a mapping hides what is below it in a file that comes later.
    guest = make_guest(_10="system_info: other\n")
    assert examine(guest).default_user is None


def test_files_in_another_folder() -> None:
    guest = make_guest(_10="datasource_list: [Ec2]\n")
    guest.add_file("/etc/cloud/cloud.cfg", f"conf_d: /etc/other\n{CONFIG}")
    guest.add_file("/etc/other/90.cfg", "datasource_list: [NoCloud]\n")
    assert examine(guest).datasources == ("NoCloud",)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"_90": "datasource_list: [None]\n"}, r"does not ask NoCloud: .*\['None'\]"),
        ({"_90": "datasource_list: [Ec2, nocloud]\n"}, "does not ask NoCloud"),
        ({"_90": "datasource_list: []\n"}, "does not ask NoCloud"),
        (
            {"_99": "network: {config: disabled}\n"},
            r"own configuration of the network \(/etc/cloud/cloud.cfg.d/_99.cfg\)",
        ),
        ({"_99": "network:\n  version: 2\n"}, "own configuration of the network"),
        ({"_99": "allow_userdata: false\n"}, "takes no user data"),
        ({"_99": "allow_userdata: 0\n"}, "takes no user data"),
        (
            {"_99": "datasource: {NoCloud: {fs_label: seed}}\n"},
            r"own seed \(/etc/cloud/cloud.cfg.d/_99.cfg: fs_label of NoCloud\), which comes first",
        ),
        ({"_99": "datasource: {NoCloud: {fs_label: null}}\n"}, "own seed"),
        ({"_99": "datasource: {NoCloud: {seedfrom: /opt/seed/}}\n"}, "seedfrom of NoCloud"),
        (
            {"_99": "datasource: {NoCloud: {meta-data: {instance-id: i-1}, user-data: ''}}\n"},
            "meta-data of NoCloud",
        ),
        ({"_99": "cloud_init_modules: [growpart, ssh]\n"}, "without its module set_hostname"),
        ({"_99": "cloud_init_modules:\n"}, r"without its module set_hostname .*_99.cfg"),
        ({"_99": "cloud_init_modules: ssh\n"}, "without its module set_hostname"),
        ({"_99": "{'ssh_keys': {rsa_private: a}}\n"}, r"keys of the image's own .*_99.cfg: ssh_k"),
        ({"_99": "a: [\n"}, r"can't be judged: .*_99.cfg in the guest is not YAML"),
        ({"_99": "[" * 1000}, "can't be judged: .*nested more than"),
        ({"_99": "a: !!python/name:os.system\n"}, "can't be judged: .*a tag that"),
        ({"_99": "x" * 70_000}, "can't be judged: .*longer than 65536 bytes"),
        ({f"_{n}": "" for n in range(101)}, "can't be judged: the guest has 101 files"),
    ],
)
def test_configurations_that_would_not_obey(files: dict[str, str], problem: str) -> None:
    found = examine(make_guest(**files))
    assert found.installed
    assert re.search(problem, str(found.problem))


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("/etc/cloud/cloud-init.disabled", "", "is disabled by /etc/cloud/cloud-init.disabled"),
        ("/boot/grub/grub.cfg", GRUB % "cloud-init=disabled", "disabled on the kernel's command"),
        ("/boot/loader/entries/a.conf", "options ro cloud-init=disabled\n", "kernel's command"),
        ("/boot/grub/grub.cfg", GRUB % "ci.ds=Ec2", "to ask Ec2 only"),
        (
            "/boot/grub/grub.cfg",
            GRUB % "network-config=disabled",
            "told of the network on the kernel",
        ),
        ("/etc/cloud/cloud.cfg", "users: [default]\n", "without its module set_hostname"),
        ("/boot/grub/grub.cfg", GRUB % "ds=openstack", "to ask openstack only"),
        ("/boot/grub/grub.cfg", GRUB % r"ds=nocloud\;h=web0", "what it is (ds=nocloud;"),
        (
            "/boot/loader/entries/a.conf",
            "options ds=nocloud-net;i=i-1\n",
            "(/boot/loader/entries/a.conf) what it is",
        ),
        ("/etc/cloud/ds-identify.cfg", "policy: disabled\n", "policy: disabled"),
        ("/etc/cloud/ds-identify.cfg", "datasource: Ec2 # here\n", "asks 'Ec2' only"),
    ],
)
def test_what_else_turns_it_off(path: str, content: str, problem: str) -> None:
    guest = make_guest()
    guest.add_file(path, content)
    assert problem in str(examine(guest).problem)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/boot/grub/grub.cfg", f"#{GRUB % 'cloud-init=disabled'}"),
        ("/boot/grub/grub.cfg", GRUB % "cloud-init=enabled fds=other"),
        ("/boot/grub/grub.cfg", GRUB % "ds=nocloud"),
        ("/etc/cloud/ds-identify.cfg", "# policy: disabled\npolicy: search,found=all\n"),
        ("/etc/cloud/cloud.cfg.d/90.cfg.disabled", "datasource_list: [None]\n"),
    ],
)
def test_what_does_not(path: str, content: str) -> None:
    guest = make_guest()
    guest.add_file(path, content)
    assert examine(guest).problem is None


BESIDE = "would configure the network beside /etc/network/interfaces"
ETH0, SITE = "which says 'iface eth0 inet static'", "which says 'source /etc/network/site/*'"


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("interfaces", "auto lo eth0\niface lo inet loopback\n", None),
        (
            "interfaces",
            "auto lo eth0\niface lo inet loopback\n iface\teth0 inet dhcp\n",
            "would configure the network beside /etc/network/interfaces, which says"
            " 'iface eth0 inet dhcp' already",
        ),
        (
            "interfaces.d/setup",
            "iface eth0 inet static\n  address 192.0.2.2/24\n",
            "would configure the network beside /etc/network/interfaces.d/setup, which says"
            " 'iface eth0 inet static' already",
        ),
        ("interfaces", "if\\\nace eth0 inet st\\\natic\n", f"{BESIDE}, {ETH0} already"),
        ("interfaces", "auto lo \\\n# a\niface eth0 inet static\n", f"{BESIDE}, {ETH0} already"),
        ("interfaces", "source /etc/network/site/*\n", f"{BESIDE}, {SITE} already"),
        ("interfaces", "source-directory site\n", f"{BESIDE}, which says 'source-directory site'"),
        (
            "interfaces",
            "source interfaces.d/*/*\n",
            f"{BESIDE}, which says 'source interfaces.d/*/",
        ),
        ("interfaces", "source interfaces.d/* /etc/network/site/*\n", f"{BESIDE}, which says"),
        ("interfaces", "source /etc/network/interfaces.d/../site/*\n", f"{BESIDE}, which says"),
        ("interfaces.d/lan", "source /etc/network/site/*\n", f"{BESIDE}.d/lan, {SITE} already"),
        # As the images of distributions have it.
        ("interfaces", "source-directory /run/network/interfaces.d\n", None),
        ("interfaces", "source /etc/network/interfaces.d/*.cfg\n", None),
        # It removes what cloud-init made of the image's own seed.
        ("interfaces.d/50-cloud-init", "iface eth0 inet dhcp\n", None),
    ],
)
def test_interfaces_that_would_be_configured_twice(
    path: str, content: str, problem: str | None
) -> None:
    guest = make_guest()
    guest.add_file("/etc/network/interfaces", "source interfaces.d/*\n")
    guest.add_file(f"/etc/network/{path}", content)
    assert examine(guest).problem is None  # nothing reads them
    guest.add_file("/usr/sbin/ifup", "")
    found = examine(guest).problem
    assert found == problem or str(found).startswith(str(problem))


def test_interfaces_that_cloud_init_writes_as_a_whole() -> None:
    guest = make_guest()
    guest.add_file("/etc/network/interfaces", "iface eth0 inet dhcp\n")
    guest.add_file("/etc/network/interfaces.d/eth1", "iface eth1 inet dhcp\n")
    guest.add_file("/sbin/ifup", "")
    guest.add_file("/etc/alpine-release", "3.24.1\n")
    assert examine(guest).problem is None


@pytest.mark.parametrize("unit", ["cloud-init.service", "cloud-final.service", "cloud-init.target"])
def test_masked_units(unit: str) -> None:
    guest = make_guest()
    guest.add_link(f"/etc/systemd/system/{unit}", "/dev/null")
    assert examine(guest).problem == f"is masked (/etc/systemd/system/{unit})"


def test_a_masked_generator() -> None:
    guest = make_guest()
    path = "/etc/systemd/system-generators/cloud-init-generator"
    guest.add_link(path, "/dev/null")
    assert examine(guest).problem == f"is masked ({path})"


def test_no_configuration_is_no_modules() -> None:
    guest = make_guest()
    guest.remove("/etc/cloud/cloud.cfg")
    assert "without its module set_hostname" in str(examine(guest).problem)


def test_units_that_are_not_enabled() -> None:
    guest = make_guest()
    guest.remove("/etc/systemd/system/cloud-init.target.wants/cloud-init-local.service")
    assert "not enabled" in str(examine(guest).problem)


def test_openrc() -> None:
    guest = make_guest()
    guest.remove("/usr/lib/systemd/systemd")
    assert examine(guest).problem == "is started by no service that is known"
    guest.add_link("/etc/runlevels/boot/cloud-init-local", "/etc/init.d/cloud-init-local")
    assert examine(guest).problem is None


def test_odd_files() -> None:
    guest = make_guest()
    guest.add_other("/etc/cloud/cloud.cfg.d/90.cfg")
    assert "not a plain file" in str(examine(guest).problem)
    guest = make_guest(_90="system_info: {default_user: {name: '$(id)'}}\n")
    assert examine(guest).default_user is None
    guest = make_guest(_90="conf_d: ../../x\n")
    guest.add_file("/etc/cloud/cloud.cfg", "conf_d: '*'\n")
    assert "conf_d that is not a path" in str(examine(guest).problem)
    guest = make_guest()
    for path in ("/usr/sbin/ifup", *(f"/etc/network/interfaces.d/{n}" for n in range(101))):
        guest.add_file(path)
    guest.add_file("/etc/network/interfaces")
    assert "has 101 files in /etc/network/interfaces.d/*" in str(examine(guest).problem)


@pytest.mark.parametrize(
    ("version", "there", "config", "loses"),
    [
        ("22.4.2", [], "", False),
        ("22.4.2", ["/usr/sbin/ifquery"], "", True),
        ("22.4.2", ["/usr/sbin/ifquery"], PINNED, False),
        ("23.1", ["/usr/sbin/ifquery"], "", False),
        ("25.1.4", ["/usr/sbin/ifquery"], "", False),
        ("odd", ["/usr/sbin/ifquery"], "", False),
    ],
)  # fmt: skip
def test_old_ones_lose_routes(version: str, there: list[str], config: str, loses: bool) -> None:
    guest = make_guest(_90=config)
    path = "/usr/lib/python3/dist-packages/cloudinit/version.py"
    guest.add_file(path, f'__VERSION__ = "{version}"\n')
    for each in there:
        guest.add_file(each)
    assert guest.kind(path) is Kind.FILE
    assert examine(guest).loses_routes6 is loses


@pytest.mark.parametrize(
    ("files", "grows"),
    [
        ({}, False),
        ({"_10": "cloud_config_modules: [resizefs]\n"}, True),
        ({"_10": "cloud_final_modules: [[resizefs, always]]\n"}, True),
        ({"_10": "cloud_config_modules: [resizefs]\nresize_rootfs: noblock\n"}, True),
        ({"_10": "cloud_config_modules: [resizefs]\nresize_rootfs: false\n"}, False),
        ({"_10": "cloud_config_modules: [resizefs]\nresize_rootfs: 1\n"}, True),
        ({"_10": "cloud_config_modules: [resizefs]\nresize_rootfs: 0\n"}, False),
        ({"_10": "cloud_config_modules: [resizefs]\nresize_rootfs: 'Off'\n"}, False),
        ({"_10": "cloud_config_modules: resizefs\n"}, False),
    ],
)
def test_whether_it_lets_the_file_system_grow(files: dict[str, str], grows: bool) -> None:
    assert examine(make_guest(**files)).grows is grows
