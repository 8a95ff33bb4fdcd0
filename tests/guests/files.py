# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells guests of one root from each other: the files of their disks that are no package's."""

from __future__ import annotations

from pathlib import Path

from support.run import run

_ANY_CARD = """\
        all-{kind}:
            match:
                name: {kind}*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
            dhcp6: true
            dhcp6-overrides:
                use-domains: true
"""
# As in Debian's images for clouds: any card, but where cloud-init says something of it.
_NETPLAN = "network:\n    version: 2\n    ethernets:\n" + "".join(
    _ANY_CARD.format(kind=kind) for kind in ("en", "eth")
)
_NETWORKD = "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n"
_IFUPDOWN = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug enp1s0
iface enp1s0 inet dhcp
"""
_NETWORK = {
    "netplan": ("etc/netplan/90-default.yaml", _NETPLAN),
    "networkd": ("etc/systemd/network/20-wired.network", _NETWORKD),
    "ifupdown": ("etc/network/interfaces", _IFUPDOWN),
}
NETWORKS = tuple(_NETWORK)
# Debian's images say this of cloud-init. The list is that of the package's own question.
_CLOUD_INIT = {
    "etc/cloud/cloud.cfg.d/01_debian_cloud.cfg": (
        "apt:\n    generate_mirrorlists: true\nmanage_etc_hosts: true\n"
    ),
    "etc/cloud/cloud.cfg.d/90_dpkg.cfg": (
        "# to update this file, run dpkg-reconfigure cloud-init\n"
        "datasource_list: [ NoCloud, ConfigDrive, OpenNebula, DigitalOcean, Azure, AltCloud, OVF,"
        " MAAS, GCE, OpenStack, CloudSigma, SmartOS, Bigstep, Scaleway, AliYun, Ec2, CloudStack,"
        " Hetzner, IBMCloud, Oracle, Exoscale, RbxCloud, UpCloud, VMware, Vultr, LXD, NWCS, Akamai,"
        " None ]\n"
    ),
}
_HOSTS = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n"
MACHINE_ID = "5d1c0ffee0ddba11cafe0123456789ab"
# The traces of use that no clone may share.
_USED = {
    "etc/hostname": "debian12\n",
    "etc/hosts": f"127.0.1.1\tdebian12.example.jp\tdebian12\n{_HOSTS}",
    "etc/machine-id": f"{MACHINE_ID}\n",
    "var/lib/systemd/random-seed": "0123456789abcdef" * 32,
    "etc/cloud/cloud-init.disabled": "",
}
_LEASES = """\
default-duid "\\000\\001\\000\\001+\\337\\237\\000RT\\000\\022\\064V";
lease {
  interface "enp1s0";
  fixed-address 192.168.122.77;
  option subnet-mask 255.255.255.0;
  option dhcp-server-identifier 192.168.122.1;
  option host-name "debian12";
  renew 1 2024/01/01 00:00:00;
  rebind 1 2024/01/01 00:30:00;
  expire 1 2024/01/01 01:00:00;
}
"""


def write(folder: Path, network: str, is_template: bool) -> None:
    """Write the files of a guest below `folder`.

    A template is a guest that somebody has installed, used and shut down, without cloud-init.
    """
    path, text = _NETWORK[network]
    files = {path: text, "etc/hosts": _HOSTS, "etc/machine-id": "", **_CLOUD_INIT}
    if is_template:
        files |= _USED
        if network == "ifupdown":
            files["var/lib/dhcp/dhclient.enp1s0.leases"] = _LEASES
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / path).chmod(0o600 if network == "netplan" else 0o644)
    (folder / "etc/machine-id").chmod(0o444)
    if network != "ifupdown":
        (folder / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    if is_template:
        key = folder / "etc/ssh/ssh_host_ed25519_key"
        key.parent.mkdir()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@debian12", "-f", key)
