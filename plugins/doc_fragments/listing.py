# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and attributes that the info modules of this collection share, and the inventory."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules extend, by the name maglica.cloud.listing.

    The inventory plugin extends maglica.cloud.listing.images and maglica.cloud.listing.addresses.
    """

    DOCUMENTATION = r"""
options:
  hosts:
    description:
      - The names of the hosts to ask; all when this is empty.
    type: list
    elements: str
    aliases: [host]
    default: []
  client_worker_timeout:
    description:
      - How many seconds the client worker may take for an answer, where it is asked.
    type: float
    default: 5.0
  host_timeout:
    description:
      - How many seconds a host may take for all its answers together, with O(source=libvirt).
    type: float
    default: 10.0
  parallel:
    description:
      - How many hosts are asked at the same time, with O(source=libvirt); V(0) means all. With
        fewer than all, each round may take O(host_timeout).
    type: int
    default: 0
  auth_file:
    description:
      - A file with user names and passwords for hosts that ask for them by SASL, in libvirt's own
        form (see U(https://libvirt.org/auth.html#client-configuration)).
    type: path
  on_host_error:
    description:
      - What happens when a host does not answer, or does not report. V(warn) names it in a warning
        and in RV(unreachable_hosts), V(fail) makes the module fail.
    type: str
    choices:
      - warn
      - fail
    default: warn
attributes:
  action_group:
    description: Takes defaults from C(group/maglica.cloud.maglica) in C(module_defaults).
    support: full
    membership: [maglica.cloud.maglica]
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - The module never changes anything.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: none
notes:
  - The module runs on the machine with the configuration, which is the one with Ansible itself in
    general; run it on C(localhost) or delegate it there.
seealso:
  - plugin: maglica.cloud.maglica
    plugin_type: inventory
"""

    SOURCE = r"""
options:
  source:
    description:
      - Who tells what runs where. Both tell the same.
      - V(libvirt) is the libvirtd of every host of the configuration, which shows what is there
        now. It takes libvirt-python, and a way to each host.
      - V(client_worker) is the client worker, which knows what the hosts have last reported. What
        Maglica does to a vm it knows at once, an address that a guest has got within seconds. It
        takes pyzmq and, in the configuration, the client worker's address and public key, and a key
        that it knows, of which that of an observer will do for listing. No hosts are needed there;
        where there are some, only those are listed.
      - V(auto) is V(libvirt) where hosts are configured and libvirt-python is installed, else
        V(client_worker).
    type: str
    choices:
      - auto
      - libvirt
      - client_worker
    default: auto
requirements:
  - libvirt-python, for O(source=libvirt) (where there is no /proc, as on a Mac, a call to a silent
    host is given up in time, but goes on aside until the module ends)
  - pyzmq, to change something, and for O(source=client_worker)
"""

    IMAGES = r"""
options:
  image_pattern:
    description:
      - A regular expression that the whole name of an original image must match, unless Maglica
        made it. A domain that could be an image but has another name is listed as a vm.
    type: str
"""

    ADDRESSES = r"""
options:
  address_sources:
    description:
      - Where a running vm's addresses are looked for; the first that knows one is taken.
      - V(lease) are the DHCP leases of libvirt's networks, V(agent) is the QEMU guest agent,
        V(arp) is the host's ARP table, V(recorded) are the static addresses that the vm was cloned
        with.
      - A libvirt that is older than its host's kernel may fail to read the ARP table (libvirt 9.0
        of Debian 12 does, with Linux 6.18). Then V(arp) knows nothing there.
      - An interface of QEMU's own network (C(type='user'), passt) has no address here; what such a
        guest has for one leads nowhere outside it, or to the host itself.
      - Only V(agent) needs a connection that is not read-only. It asks the guest itself, which
        can say what it wants.
      - All agents of a host share half of its time that is left. At most four are asked at once,
        and one that does not answer is given up after 1.5 seconds, so many that hang may cost
        others their address.
    type: list
    elements: str
    choices:
      - lease
      - agent
      - arp
      - recorded
    default:
      - lease
      - agent
      - arp
      - recorded
  address_networks:
    description:
      - When a vm has several addresses, take one on the first of these that it has one on. Each is
        the name of a libvirt network, or a range such as V(192.0.2.0/24).
    type: list
    elements: str
    default: []
  address_family:
    description:
      - Which kind of address a vm is to be reached at when it has both; with V(ipv4_only) and
        V(ipv6_only) it is never the other kind.
    type: str
    choices:
      - ipv4
      - ipv6
      - ipv4_only
      - ipv6_only
    default: ipv4
"""
