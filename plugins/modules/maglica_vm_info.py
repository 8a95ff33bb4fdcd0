#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_vm_info
short_description: Tell which vms there are on all hosts
version_added: 0.1.0
description:
  - Lists the vms of every host, which are all domains that are no original image, whoever made
    them.
  - A host that does not answer is named in the result and never takes longer than O(host_timeout).
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.where
  - maglica.cloud.listing
  - maglica.cloud.listing.source
  - maglica.cloud.listing.images
  - maglica.cloud.listing.addresses
options:
  name:
    description:
      - The names of the vms, as shell patterns, or as regular expressions for the whole name when
        they start with V(~); all when this is empty.
    type: list
    elements: str
    default: []
  xml:
    description:
      - Whether to return each vm's XML, which only O(source=libvirt) knows.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at all vms
  maglica.cloud.maglica_vm_info:
  register: all

- name: Show where the web servers are
  maglica.cloud.maglica_vm_info:
    name: web*.example.jp
    address_networks: [192.0.2.0/24]
  register: web

- name: Ask the client worker, without a way to any host
  maglica.cloud.maglica_vm_info:
    source: client_worker
  register: reported

- name: Print their hosts
  ansible.builtin.debug:
    msg: "{{ web.vms | items2dict(key_name='name', value_name='host') }}"
"""

RETURN = r"""
vms:
  description:
    - The vms, sorted by name and host. What is not known is none.
  returned: success
  type: list
  elements: dict
  sample:
    - name: vm0.example.jp
      uuid: 5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11
      host: kvm0.example.jp
      state: running
      adopted: false
      image: debian12.original
      image_version: 3f7a1c0e5b9d4f62a8c1e07d94b3586f20cd7be14a9f6308d5e2c7b1a0f49e3d
      request: 2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e
      clone_mode: linked
      customize: cloud-init
      customize_reason: its cloud-init is enabled and asks NoCloud
      base: 0a1b2c3d
      created: "2026-11-24T06:00:00.000000Z"
      who: root
      vcpus: 1
      memory_mib: 512
      address: 192.168.122.101
      interfaces:
        - mac: "52:54:00:6b:3c:58"
          network: default
          addresses: [192.168.122.101]
          bridge: null
          model: virtio
          link: up
          filter: null
          vlan: []
          virtualport: null
      disks:
        - target: vda
          device: disk
          format: qcow2
          source: /var/lib/libvirt/images/vm0.example.jp.vda.5e0c9b1e.qcow2
          capacity_bytes: 1073741824
          allocation_bytes: 2097152
          name: vda
          pool: default
          bus: virtio
          serial: null
          cache: null
          discard: null
      boot_order: [disk]
      graphics:
        - type: vnc
          listen: 127.0.0.1
          port: 5900
          tls_port: null
          socket: null
      console:
        type: pty
        path: /dev/pts/3
      kept_disks: []
      tags: []
      autostart: false
      description: null
      protected: false
      ssh_host_keys:
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmAgZtD1g9yPvH0P8q4zUHDJdJ0T1yYF0uW8yXxkX6i
      foreign_disks: []
      report_age_s: null
  contains:
    name:
      description: Its name.
      type: str
      returned: always
    uuid:
      description: The UUID of the domain.
      type: str
      returned: always
    host:
      description: The host that it is on.
      type: str
      returned: always
    state:
      description:
        - V(running), V(stopped), V(paused), V(stopping), V(crashed), V(suspended) or V(unknown).
      type: str
      returned: always
    adopted:
      description: Whether others made it, and Maglica may run and change it.
      type: bool
      returned: always
    image:
      description: The original image that it was cloned from; none if Maglica did not make it.
      type: str
      returned: always
    image_version:
      description:
        - The version of the image at that time. Vms with the same version were cloned from the same
          disks.
      type: str
      returned: always
    request:
      description: The id of the request that made it.
      type: str
      returned: always
    clone_mode:
      description: V(linked) or V(full).
      type: str
      returned: always
    customize:
      description:
        - How it was made a guest of its own, V(cloud-init), V(offline) or V(none).
      type: str
      returned: always
    customize_reason:
      description: Why it was made so.
      type: str
      returned: always
    base:
      description: The id of the base that it builds upon; none of one that is independent.
      type: str
      returned: always
    created:
      description: When it was made (ISO 8601, UTC).
      type: str
      returned: always
    who:
      description: The name of the key of who asked for it.
      type: str
      returned: always
    vcpus:
      description: The number of virtual CPUs.
      type: int
      returned: always
    memory_mib:
      description: The memory in MiB.
      type: int
      returned: always
    address:
      description: The address to reach it at.
      type: str
      returned: always
    interfaces:
      description: The network interfaces, each with its MAC address and known addresses.
      type: list
      elements: dict
      returned: always
      contains:
        mac:
          description: Its MAC address.
          type: str
          returned: always
        network:
          description: The network, bridge or device that it is on, as libvirt names it.
          type: str
          returned: always
        addresses:
          description: The IP addresses that are known of it.
          type: list
          elements: str
          returned: always
        bridge:
          description: The bridge that it is on, if it is on no libvirt network.
          type: str
          returned: always
        model:
          description: The card that the guest sees, in libvirt's words.
          type: str
          returned: always
        link:
          description: Whether its cable is plugged in, V(up) or V(down).
          type: str
          returned: always
        filter:
          description: Its network filter.
          type: str
          returned: always
        vlan:
          description: The tags of VLANs that it says itself.
          type: list
          elements: int
          returned: always
        virtualport:
          description: The kind of switch that it says that it is on, such as V(openvswitch).
          type: str
          returned: always
    disks:
      description: The disks; what the guest sees is C(capacity_bytes).
      type: list
      elements: dict
      returned: always
      contains:
        target:
          description: Its name in the definition, such as V(vda).
          type: str
          returned: always
        device:
          description: V(disk), V(cdrom), V(floppy) or V(lun).
          type: str
          returned: always
        format:
          description: The format, such as V(qcow2) or V(raw).
          type: str
          returned: always
        source:
          description: The file, device, volume or URL; none of an empty drive.
          type: str
          returned: always
        capacity_bytes:
          description: What the guest sees.
          type: int
          returned: always
        allocation_bytes:
          description: What it takes in the storage, without what it builds upon.
          type: int
          returned: always
        name:
          description: Of one that is the vm's own, the name that it was added by, or its target.
          type: str
          returned: always
        pool:
          description: The storage pool of one that is the vm's own.
          type: str
          returned: always
        bus:
          description: How the guest sees it, in libvirt's words.
          type: str
          returned: always
        serial:
          description: The serial number that the definition gives it.
          type: str
          returned: always
        cache:
          description: How the host caches it, if that is said.
          type: str
          returned: always
        discard:
          description: Whether what the guest discards is given back, if that is said.
          type: str
          returned: always
    tags:
      description: Its tags.
      type: list
      elements: str
      returned: always
    boot_order:
      description:
        - From what it boots at its next start. Where its definition says that of a device which is
          not the first of its kind, it is V(other disk), V(other network) or the like.
      type: list
      elements: str
      returned: always
    graphics:
      description:
        - Where its screens can be looked at on its host while it runs, each with C(type), C(listen)
          (the address), C(port), C(tls_port) and C(socket); never with a password.
      type: list
      elements: dict
      returned: always
    console:
      description: Its serial console on its host while it runs, with C(type) and C(path).
      type: dict
      returned: always
    kept_disks:
      description: The names of disks that are its own, and not attached.
      type: list
      elements: str
      returned: always
    foreign_disks:
      description:
        - The files of an adopted vm, as its definition names them, that go with it where
          O(maglica.cloud.maglica_vm#module:remove_foreign_disks=true) is said. Empty for any
          other vm.
      type: list
      elements: str
      returned: always
    autostart:
      description: Whether its host starts it; none where that is not known.
      type: bool
      returned: always
    description:
      description: What it is for; none where nothing is said.
      type: str
      returned: always
    protected:
      description: Whether whatever would destroy data of it is refused.
      type: bool
      returned: always
    ssh_host_keys:
      description:
        - The public SSH host keys that Maglica gave it, each as in known_hosts after the host's
          name. Empty for a vm that others made.
      type: list
      elements: str
      returned: always
    report_age_s:
      description:
        - How many seconds ago its host reported it, with O(source=client_worker); otherwise none.
      type: float
      returned: always
    xml:
      description: The definition.
      type: str
      returned: when O(xml=true)
unreachable_hosts:
  description:
    - The hosts that did not answer, and why.
  returned: success
  type: list
  elements: dict
  sample: []
  contains:
    host:
      description: The name of the host.
      type: str
      returned: always
    text:
      description: The reason.
      type: str
      returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils._listing import answer, listing_spec
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import info
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.libvirtd import addresses
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.reported import (
    AddressSource,
)


def argument_spec() -> dict:
    sources = [source.value for source in AddressSource]
    return {
        "name": {"type": "list", "elements": "str", "default": []},
        "address_sources": {
            "type": "list",
            "elements": "str",
            "choices": sources,
            "default": sources,
        },
        "address_networks": {"type": "list", "elements": "str", "default": []},
        "address_family": {
            "type": "str",
            "choices": [family.value for family in addresses.AddressFamily],
            "default": addresses.AddressFamily.IPV4.value,
        },
        "xml": {"type": "bool", "default": False},
        **listing_spec(),
    }


def ask(question: info.Question, parameters: Mapping[str, Any]) -> dict[str, Any]:
    sources = [AddressSource(source) for source in parameters["address_sources"]]
    preference = addresses.Preference(
        addresses.AddressFamily(parameters["address_family"]),
        tuple(map(addresses.check_network, parameters["address_networks"])),
    )
    return info.vms(question, sources, preference, parameters["xml"])


def main() -> None:
    answer(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), ask)


if __name__ == "__main__":
    main()
