# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text files of a cloud: what makes a host that host, and what its users read. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from testbed.layout import IMAGE, TEMPLATE, Host, Layout

IMAGES = "/var/lib/libvirt/images"
OFFERED = "/srv/images"


def hosts_file(cloud: Layout) -> str:
    """Return /etc/hosts of every host: all know each other's names."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{host.address} {host.name} {host.name.split('.')[0]}" for host in cloud.hosts]
    return "\n".join(lines) + "\n"


def host_network(cloud: Layout, host: Host) -> str:
    """Return the systemd.network file of a host; it reaches other hosts' guests directly."""
    lines = [
        "[Match]",
        "Name=host0",
        "[Network]",
        f"Address={host.address}/24",
        f"Gateway={cloud.gateway.ip}",
        "LinkLocalAddressing=no",
        "IPv6AcceptRA=no",
    ]
    for other in cloud.kvm:
        if other != host:
            lines += ["[Route]", f"Destination={other.guests}", f"Gateway={other.address}"]
    return "\n".join(lines) + "\n"


def guest_network(host: Host) -> dict[str, Any]:
    """Return what the role is told of a host's libvirt network `default`, routed, with DHCP."""
    net = host.guests
    if net is None:
        raise ValueError(f"host {host.name} runs no guests")
    return {
        "name": "default",
        "mode": "route",
        "bridge": "virbr0",
        "address": f"{host.gateway}/{net.prefixlen}",
        "dhcp": {"start": str(net[10]), "end": str(net[250])},
        "stp": False,
        # Spares each first lease the 3 s in which dnsmasq would ping the address.
        "dnsmasq_options": ["no-ping"],
    }


def template_domain(virt_type: str) -> str:
    """Return the definition of the template; `virt_type` is kvm or qemu."""
    # As installers have it: some more ports than devices, for what comes later.
    ports = "\n".join(
        f"    <controller type='pci' index='{number}' model='pcie-root-port'/>"
        for number in range(1, 11)
    )
    return f"""\
<domain type='{virt_type}'>
  <name>{TEMPLATE}</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{IMAGES}/{TEMPLATE}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='virtio'/>
{ports}
  </devices>
</domain>
"""


def offering_service() -> str:
    """Return the client's service that offers images by HTTP."""
    return f"""\
[Unit]
Description=Images, as a distribution offers them

[Service]
User=nobody
AmbientCapabilities=CAP_NET_BIND_SERVICE
ExecStart=python3 -m http.server --directory {OFFERED} 80

[Install]
WantedBy=multi-user.target
"""


def ssh_config(cloud: Layout) -> str:
    """Return the ssh configuration for hosts (keys known) and guests (theirs come and go)."""
    common = [
        "  User root",
        f"  IdentityFile {cloud.state}/ssh_key",
        "  IdentitiesOnly yes",
        "  BatchMode yes",
        "  ConnectTimeout 10",
    ]
    lines = []
    for host in cloud.hosts:
        lines += [f"Host {host.name} {host.address}", f"  HostName {host.address}"]
        lines += [f"  HostKeyAlias {host.name}", f"  UserKnownHostsFile {cloud.state}/known_hosts"]
        lines += ["  StrictHostKeyChecking yes", *common]
    guests = " ".join(f"{str(host.guests[0])[:-1]}*" for host in cloud.kvm if host.guests)
    lines += [f"Host {guests}", "  UserKnownHostsFile /dev/null", "  LogLevel ERROR"]
    lines += ["  StrictHostKeyChecking no", *common]
    return "\n".join(lines) + "\n"


def known_hosts(public_keys: dict[str, str]) -> str:
    """Return the known_hosts file for the public host key of each host name."""
    return "".join(f"{name} {' '.join(key.split()[:2])}\n" for name, key in public_keys.items())


def deploying_inventory(cloud: Layout) -> str:
    """Return the Ansible inventory that the deployment uses. YAML: JSON is a subset of it.

    This machine's own key and maglica.conf belong to the cloud, so they go to its folder.
    """

    def entry(host: Host) -> dict[str, Any]:
        known: dict[str, Any] = {"ansible_host": str(host.address)}
        if host.guests:
            known["libvirtd_networks"] = [guest_network(host)]
        return known

    ssh = {
        "ansible_user": "root",
        "ansible_ssh_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": _ssh_arguments(cloud),
    }
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "library_user_dir": str(cloud.state),
        "library_command": str(cloud.state / "maglica"),
    }
    members = {"maglica_client_worker": (cloud.client,), "maglica_hosts": cloud.kvm}
    groups = {
        group: {"hosts": {host.name: entry(host) for host in hosts}, "vars": ssh}
        for group, hosts in members.items()
    }
    return _json({"all": {"hosts": {"localhost": here}, "children": groups}})


def users_inventory(cloud: Layout) -> str:
    """Return maglica.yml, the inventory of whoever uses the cloud from this checkout."""
    return f"""\
plugin: maglica.cloud.maglica
config: maglica.conf
compose:
  ansible_user: "'root'"
  ansible_ssh_common_args: "'{_ssh_arguments(cloud)}'"
"""


def _ssh_arguments(cloud: Layout) -> str:
    return f"-F {cloud.state}/ssh_config"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def uri(cloud: Layout, host: Host) -> str:
    """Return how this machine reaches a host's libvirtd: with the certificate of its user."""
    return f"qemu+tls://{host.address}/system?pkipath={quote(str(cloud.state / 'pki'))}"


def description(cloud: Layout, virt_type: str, root: Path) -> str:
    """Return cloud.json: what tests need to know of the cloud."""

    def entry(host: Host) -> dict[str, str | None]:
        return {
            "name": host.name,
            "address": str(host.address),
            "uri": uri(cloud, host) if host.guests else None,
            "guests": str(host.guests) if host.guests else None,
            "folder": str(host.folder),
        }

    return _json(
        {
            "id": cloud.id,
            "bridge": cloud.bridge,
            "network": str(cloud.network),
            "gateway": str(cloud.gateway.ip),
            "image": IMAGE,
            "template": TEMPLATE,
            "virt_type": virt_type,
            "ssh_config": f"{cloud.state}/ssh_config",
            "client": entry(cloud.client),
            "hosts": [entry(host) for host in cloud.kvm],
            "host_root": str(root),
        }
    )
