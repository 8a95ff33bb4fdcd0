#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_host_info
short_description: Tell what the hosts are and have
version_added: 0.1.0
description:
  - Lists the hosts with their processors, memory, storage pools and networks, and the names of
    their vms and original images.
  - A host that does not answer is listed without all that, and never takes longer than
    O(host_timeout).
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.where
  - maglica.cloud.listing
  - maglica.cloud.listing.source
  - maglica.cloud.listing.images
"""

EXAMPLES = r"""
- name: Look at all hosts
  maglica.cloud.maglica_host_info:
  register: all

- name: Find the hosts with more than 8 GiB of free memory
  ansible.builtin.debug:
    msg: "{{ all.hosts | selectattr('reachable')
          | selectattr('memory_free_mib', 'gt', 8192) | map(attribute='name') }}"
"""

RETURN = r"""
hosts:
  description:
    - The hosts, in the order of the configuration, or else by name. What is not known is none.
  returned: success
  type: list
  elements: dict
  sample:
    - name: kvm0.example.jp
      uri: qemu+tcp://kvm0.example.jp/system
      reachable: true
      weight: 1.0
      hostname: kvm0.example.jp
      cpus: 16
      memory_total_mib: 65536
      memory_free_mib: 40960
      libvirt_version: 9.0.0
      hypervisor_version: 7.2.13
      worker_version: null
      pools:
        - name: default
          active: true
          capacity_bytes: 1000204886016
          free_bytes: 700143420211
      networks: [default]
      vms: [vm0.example.jp]
      images: [debian12.original]
      seconds: 0.021
      report_age_s: null
  contains:
    name:
      description: Its name in the configuration.
      type: str
      returned: always
    uri:
      description: The libvirt URI by which it is reached, if the configuration names one.
      type: str
      returned: always
    reachable:
      description: Whether it answered.
      type: bool
      returned: always
    weight:
      description: Its share of the work.
      type: float
      returned: always
    hostname:
      description: What it calls itself.
      type: str
      returned: always
    cpus:
      description: The number of processors.
      type: int
      returned: always
    memory_total_mib:
      description: Its memory in MiB.
      type: int
      returned: always
    memory_free_mib:
      description: Its free memory in MiB.
      type: int
      returned: always
    libvirt_version:
      description: The version of libvirt.
      type: str
      returned: always
    hypervisor_version:
      description: The version of the hypervisor.
      type: str
      returned: always
    worker_version:
      description:
        - The version of its host worker, as C(0.1.0+3f2a1b9c0d1e), with the digest of the library's
          files behind the collection's version, with O(source=client_worker); otherwise none.
      type: str
      returned: always
    pools:
      description: The storage pools.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Its name.
          type: str
          returned: always
        active:
          description: Whether it is in use.
          type: bool
          returned: always
        capacity_bytes:
          description: Its size.
          type: int
          returned: always
        free_bytes:
          description: What is free of it.
          type: int
          returned: always
    networks:
      description: The names of libvirt's active networks.
      type: list
      elements: str
      returned: always
    vms:
      description: The names of its vms.
      type: list
      elements: str
      returned: always
    images:
      description: The names of its original images.
      type: list
      elements: str
      returned: always
    seconds:
      description: How long it took to read it, with O(source=libvirt); otherwise none.
      type: float
      returned: always
    report_age_s:
      description:
        - How many seconds ago it reported this, with O(source=client_worker); otherwise none.
      type: float
      returned: always
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


def ask(question: info.Question, _parameters: Mapping[str, Any]) -> dict[str, Any]:
    return info.hosts(question)


def main() -> None:
    answer(AnsibleModule(argument_spec=listing_spec(), supports_check_mode=True), ask)


if __name__ == "__main__":
    main()
