#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_network
short_description: Have a host have a network for its guests
version_added: 0.1.0
description:
  - Defines a network of libvirt's where there is none of its name, and starts it.
  - A network that is there is started, and not changed otherwise. Where it differs in an option
    that is given, the task fails and says in what.
  - A network is not started over what the host has already. Where its subnet is in use, or a device
    has the name of its bridge, the task fails and says so. The network C(default) as the
    distribution's package brings it, and which has never run, is moved to a subnet that is free
    instead; that is where a host is itself a guest on such a network. That network is started also
    by O(optional=true).
  - The host's own bridges are used (O(mode=bridge)), and never made.
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.hosting
options:
  name:
    description: The name of the network.
    type: str
    required: true
  mode:
    description:
      - V(nat), guests reach others by the host's address, and nobody reaches them from outside;
        V(route), the host passes on what goes to and comes from the guests' own addresses, and
        others have to know the way; V(isolated), guests reach each other and the host only;
        V(bridge), guests are on a bridge that the host has.
      - V(nat) of a network that is made.
    type: str
    choices: [nat, route, isolated, bridge]
  bridge:
    description:
      - For O(mode=bridge), the host's bridge.
      - Otherwise the name of the bridge that libvirt makes, which chooses one where none is given.
    type: str
  address:
    description:
      - The host's own IPv4 address in the network with the length of its prefix, such as
        V(192.0.2.1/24).
      - A network of O(mode=nat) that is made without one takes C(192.168.122.1/24), or the next
        such network that is free (up to C(192.168.254.0/24), then the same in C(172.30) and
        C(10.254)), and has DHCP give its addresses.
    type: str
  dhcp:
    description:
      - The addresses that DHCP gives to guests; none where O(address) is given and this is not.
    type: dict
    suboptions:
      start:
        description: The first one.
        type: str
        required: true
      end:
        description: The last one.
        type: str
        required: true
  domain:
    description: The domain of the guests' names, which the network's DNS answers for.
    type: str
  dns_forwarders:
    description:
      - IPv4 addresses of the servers that the network's DNS asks. The host's own when not given.
    type: list
    elements: str
  dnsmasq_options:
    description:
      - Lines for dnsmasq, which gives DHCP and DNS, such as V(no-ping). libvirt passes them on
        unseen.
    type: list
    elements: str
  stp:
    description:
      - Whether the bridge that libvirt makes speaks the spanning tree protocol, as it does by
        default. A guest's cable then takes some seconds to work after its start.
    type: bool
seealso:
  - module: maglica.cloud.maglica_pool
"""

EXAMPLES = r"""
- name: Have libvirt's usual network run, and start with the host
  maglica.cloud.maglica_network:
    name: default

- name: Give guests addresses that others reach
  maglica.cloud.maglica_network:
    name: lab
    mode: route
    address: 192.0.2.1/24
    dhcp:
      start: 192.0.2.10
      end: 192.0.2.250

- name: Let guests use the host's bridge
  maglica.cloud.maglica_network:
    name: office
    mode: bridge
    bridge: br0
"""

RETURN = r"""
name:
  description: Its name.
  returned: success
  type: str
  sample: lab
uuid:
  description: Its UUID.
  returned: success
  type: str
  sample: 0c2f5f0e-1c7c-5d0a-9a52-3f3e6f3b8f11
active:
  description: Whether it runs.
  returned: success
  type: bool
  sample: true
autostart:
  description: Whether it starts with the host.
  returned: success
  type: bool
  sample: true
xml:
  description: Its definition.
  returned: success
  type: str
  sample: "<network> … </network>"
msg:
  description: Which subnet it got, or why it does not run.
  returned: when it is moved to a subnet that is free, or by O(optional=true)
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils._hosting import hosting_spec, settle
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.hosting import networks


def argument_spec() -> dict[str, dict[str, Any]]:
    end = {"type": "str", "required": True}
    return {
        **hosting_spec(),
        "name": {"type": "str", "required": True},
        "mode": {"type": "str", "choices": ["nat", "route", "isolated", "bridge"]},
        "bridge": {"type": "str"},
        "address": {"type": "str"},
        "dhcp": {"type": "dict", "options": {"start": end, "end": end}},
        "domain": {"type": "str"},
        "dns_forwarders": {"type": "list", "elements": "str"},
        "dnsmasq_options": {"type": "list", "elements": "str"},
        "stp": {"type": "bool"},
    }


def wanted(parameters: Mapping[str, Any]) -> networks.NetworkDefinition:
    said = {key: parameters[key] for key in ("name", "mode", "bridge", "address", "domain", "stp")}
    dhcp = parameters["dhcp"]
    return networks.NetworkDefinition(
        **said,
        dhcp=None if dhcp is None else (dhcp["start"], dhcp["end"]),
        dns_forwarders=_tuple(parameters["dns_forwarders"]),
        dnsmasq_options=_tuple(parameters["dnsmasq_options"]),
    )


def _tuple(lines: list[str] | None) -> tuple[str, ...] | None:
    return None if lines is None else tuple(lines)


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    settle(module, wanted, networks.plan, networks.apply)


if __name__ == "__main__":
    main()
