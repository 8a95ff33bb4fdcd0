#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_image_info
short_description: Tell which original images there are on all hosts
version_added: 0.1.0
description:
  - Lists the original images of every host, which are those that Maglica made, and the persistent
    domains that do not run and that it did not make. An image that several hosts have is listed
    once.
  - A host that does not answer is named in the result and never takes longer than O(host_timeout).
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.where
  - maglica.cloud.listing
  - maglica.cloud.listing.source
  - maglica.cloud.listing.images
options:
  name:
    description:
      - The names of the images, as shell patterns, or as regular expressions for the whole name
        when they start with V(~); all when this is empty.
    type: list
    elements: str
    default: []
  xml:
    description:
      - Whether to return each image's XML, which only O(source=libvirt) knows.
    type: bool
    default: false
  bases:
    description:
      - Whether to return each image's bases, which its vms build upon, and how its guest can be
        customized. That is what the hosts, or those of O(hosts), last reported to the client
        worker, which must answer then, within O(client_worker_timeout).
    type: bool
    default: false
  inspect:
    description:
      - Whether each host looks at the guests of the images first, as the first clone of a version
        would, and to return what it found as C(looks). Where it knows the image's present version
        it does not look again.
      - A look reads the image's disks only. It takes some seconds, more without KVM. What it found
        is kept by the host.
      - Images that could not be looked at are named in a warning.
    type: bool
    default: false
  wait_timeout:
    description:
      - How many seconds to wait for all looks of O(inspect=true) together.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Look at all original images
  maglica.cloud.maglica_image_info:
  register: all

- name: Show which vms came from an image
  maglica.cloud.maglica_image_info:
    name: debian12.original
  register: debian

- name: Tell which images can't be customized, and why
  maglica.cloud.maglica_image_info:
    bases: true
  register: images
  failed_when: >-
    images.images | map(attribute='looks') | flatten | rejectattr('customizable') | length > 0

- name: Look how vms of an image would be customized, before there is one
  maglica.cloud.maglica_image_info:
    name: debian12.original
    inspect: true

- name: Print their names
  ansible.builtin.debug:
    msg: "{{ debian.images | map(attribute='dependents') | flatten | map(attribute='name') }}"
"""

RETURN = r"""
images:
  description:
    - The images, sorted by name. What is not known is none.
  returned: success
  type: list
  elements: dict
  sample:
    - name: debian12.original
      state: stopped
      hosts: [kvm0.example.jp, kvm1.example.jp]
      copies:
        - host: kvm0.example.jp
          uuid: 6a1f7d0e-6c3c-4a41-9a0e-6a7f2a4e9c11
          size_bytes: 1073741824
          checksum: sha256:9d2e5cbe2ed9dd4b3f4e3a92c47b1f5f0f1f5c0b7c1a7e4e6f6f6c8f3a0b1c2d
          made: true
          versions:
            - checksum: sha256:9d2e5cbe2ed9dd4b3f4e3a92c47b1f5f0f1f5c0b7c1a7e4e6f6f6c8f3a0b1c2d
              origin: https://images.example.jp/debian12.qcow2
              format: qcow2
              size_bytes: 1073741824
              request: 7d3f2c1e-0f4b-4f0e-8f5d-6b3f7f8f4c4f
              created: "2026-11-24T06:00:00.000000Z"
          report_age_s: null
        - host: kvm1.example.jp
          uuid: 0c7e6a52-52a4-4b0b-8a5e-2f1f0f6f7f22
          size_bytes: 1073741824
          checksum: null
          made: false
          versions: []
          report_age_s: null
      size_bytes: 1073741824
      checksum: sha256:9d2e5cbe2ed9dd4b3f4e3a92c47b1f5f0f1f5c0b7c1a7e4e6f6f6c8f3a0b1c2d
      origin: https://images.example.jp/debian12.qcow2
      dependents:
        - name: vm0.example.jp
          host: kvm0.example.jp
          clone_mode: linked
          image_version: 3f7a1c0e5b9d4f62a8c1e07d94b3586f20cd7be14a9f6308d5e2c7b1a0f49e3d
          base: 0a1b2c3d
      vcpus: 1
      memory_mib: 512
      interfaces:
        - mac: "52:54:00:3d:12:07"
          network: default
          addresses: []
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
          source: /var/lib/libvirt/images/debian12.qcow2
          capacity_bytes: 1073741824
          allocation_bytes: 398458880
          name: null
          pool: null
          bus: virtio
          serial: null
          cache: null
          discard: null
      tags: []
      report_age_s: null
  contains:
    name:
      description: Its name.
      type: str
      returned: always
    state:
      description: Its state; V(stopped), or any other of an image that Maglica made.
      type: str
      returned: always
    hosts:
      description: The hosts that have it.
      type: list
      elements: str
      returned: always
    copies:
      description:
        - For each host that has it, the domain's UUID, the size of its disks, and what is recorded
          of them.
      type: list
      elements: dict
      returned: always
      contains:
        host:
          description: The host.
          type: str
          returned: always
        uuid:
          description: The UUID of the domain.
          type: str
          returned: always
        size_bytes:
          description: What a guest sees of its disks, all together.
          type: int
          returned: always
        checksum:
          description: That of its newest version.
          type: str
          returned: always
        made:
          description: Whether Maglica made it.
          type: bool
          returned: always
        versions:
          description:
            - What is recorded in its definition of what it was made from, the newest first. An
              image that Maglica made has one for each request that brought another content, any
              other at most one.
          type: list
          elements: dict
          returned: always
          contains:
            checksum:
              description:
                - The name of an algorithm and the digest of the file as it came. It is not computed
                  anew.
              type: str
              returned: always
            origin:
              description: Where that came from, a URL without credentials or a path.
              type: str
              returned: always
            format:
              description: The format of the disk, V(qcow2) or V(raw).
              type: str
              returned: always
            size_bytes:
              description: What a guest saw of the disk then.
              type: int
              returned: always
            request:
              description: The request that brought it.
              type: str
              returned: always
            created:
              description: When that was (ISO 8601, UTC).
              type: str
              returned: always
        report_age_s:
          description:
            - How many seconds ago its host reported it, with O(source=client_worker); otherwise
              none.
          type: float
          returned: always
    report_age_s:
      description: The highest of its copies'.
      type: float
      returned: always
    size_bytes:
      description: What a guest sees of its disks, all together, on the first of its hosts.
      type: int
      returned: always
    checksum:
      description:
        - What is recorded in its definition on the first of its hosts, such as
          C(sha256:) and the digest of the file that it was installed from. It is not computed.
      type: str
      returned: always
    origin:
      description: Where that file came from, as it is recorded on the first of its hosts.
      type: str
      returned: always
    dependents:
      description:
        - The vms that were cloned from it. Those with the same C(image_version) were cloned from
          the same state of its disks; it is none where it was not recorded.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: The name of the vm.
          type: str
          returned: always
        host:
          description: The host that it is on.
          type: str
          returned: always
        clone_mode:
          description: V(linked) if its disks are overlays of a base, or V(full).
          type: str
          returned: always
        base:
          description: The id of the base that it builds upon; none of one that is independent.
          type: str
          returned: always
        image_version:
          description: The version of the image.
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
    interfaces:
      description: The network interfaces, each with its MAC address.
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
      description: The disks on the first of its hosts.
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
    bases:
      description: Its bases that are ready, on all hosts.
      type: list
      elements: dict
      returned: when O(bases=true)
      sample:
        - host: kvm0.example.jp
          id: 0a1b2c3d
          version: 3f7a1c0e5b9d4f62a8c1e07d94b3586f20cd7be14a9f6308d5e2c7b1a0f49e3d
          pool: default
          allocated_bytes: 402653184
          created: "2026-11-24T09:00:00.000000Z"
          current: true
          areas: true
          vms: 1
          way: offline
      contains:
        host:
          description: The host that it is on.
          type: str
          returned: always
        id:
          description: What names it in the data of its vms.
          type: str
          returned: always
        version:
          description: The state of the image's disks that it was made from.
          type: str
          returned: always
        pool:
          description: The storage pool that it lies in.
          type: str
          returned: always
        allocated_bytes:
          description: What it takes there.
          type: int
          returned: always
        created:
          description: When it was made (ISO 8601, UTC).
          type: str
          returned: always
        current:
          description:
            - Whether the image is in that state now. None when that can't be told, as of an image
              that is running.
          type: bool
          returned: always
        areas:
          description: Whether clones of it are customized without starting libguestfs' appliance.
          type: bool
          returned: always
        vms:
          description: How many vms build upon it.
          type: int
          returned: always
        way:
          description:
            - How vms are customized that build upon it, V(cloud-init), V(offline) or V(none).
          type: str
          returned: always
    looks:
      description:
        - What a host found out of its guest, by host; kept for that version of the image. None of
          an image that no host has looked at yet.
        - A clone of a version that was refused is refused at once, unless it is not to be
          customized at all (O(maglica.cloud.maglica_vm#module:customize=none)). A request to
          release the image (M(maglica.cloud.maglica_image)) has the next one look again, as may be
          wanted when something is changed on the host and not in the image.
      type: list
      elements: dict
      returned: when O(bases=true) or O(inspect=true)
      sample:
        - host: kvm0.example.jp
          version: 3f7a1c0e5b9d4f62a8c1e07d94b3586f20cd7be14a9f6308d5e2c7b1a0f49e3d
          customizable: true
          reason: its cloud-init is enabled and asks NoCloud
          current: true
          way: cloud-init
          distro: debian
          release: "13"
          stack: netplan
          layout: ext4
      contains:
        host:
          description: The host that has looked.
          type: str
          returned: always
        version:
          description: The state of the image's disks then.
          type: str
          returned: always
        customizable:
          description: Whether clones of it can be customized.
          type: bool
          returned: always
        reason:
          description: Why in that way, or why not.
          type: str
          returned: always
        current:
          description: As RV(images[].bases[].current).
          type: bool
          returned: always
        way:
          description:
            - How a clone is customized that asks for V(auto), V(cloud-init) or V(offline). None
              where it can't be.
          type: str
          returned: always
        distro:
          description:
            - The guest's system, such as V(debian). Empty where it is not known, as those below.
          type: str
          returned: always
        release:
          description: Its version.
          type: str
          returned: always
        stack:
          description: What configures its network, such as V(netplan).
          type: str
          returned: always
        layout:
          description: The file system at C(/), and what it lies on if that is no plain partition.
          type: str
          returned: always
    xml:
      description: The definition on the first of its hosts.
      type: str
      returned: when O(xml=true)
other_bases:
  description:
    - The bases of images of O(name) that are not among RV(images), such as one that is gone or is
      running on all its hosts, by the image's name. Each is as those in RV(images[].bases).
  returned: when O(bases=true)
  type: dict
  sample: {}
leftovers:
  description:
    - Files on the hosts whose names look like those of vms, images and bases, and which neither the
      definition of one nor a host's journal names, such as copies that somebody made, or what a
      lost journal knew. Maglica never removes them.
  returned: when O(bases=true)
  type: list
  elements: dict
  sample:
    - host: kvm0.example.jp
      path: /var/lib/libvirt/images/web0-before-upgrade.vda.3f7a1c0e.qcow2
      pool: default
      allocated_bytes: 393216
      command: virsh vol-delete --pool default --vol web0-before-upgrade.vda.3f7a1c0e.qcow2
  contains:
    host:
      description: The host that has it.
      type: str
      returned: always
    path:
      description: Where it is.
      type: str
      returned: always
    pool:
      description: The storage pool whose volume it is, if it is one.
      type: str
      returned: always
    allocated_bytes:
      description: What it takes.
      type: int
      returned: always
    command:
      description: What removes it, in a shell of that host, if nobody needs it.
      type: str
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
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage import (
    images,
    inspection,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.request import HostStatus
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.wire.client import Client


def argument_spec() -> dict:
    return {
        "name": {"type": "list", "elements": "str", "default": []},
        "xml": {"type": "bool", "default": False},
        "bases": {"type": "bool", "default": False},
        "inspect": {"type": "bool", "default": False},
        "wait_timeout": {"type": "int", "default": 600},
        **listing_spec(),
    }


def ask(question: info.Question, parameters: Mapping[str, Any]) -> dict[str, Any]:
    shown = info.images(question, parameters["xml"])
    if not parameters["bases"] and not parameters["inspect"]:
        return shown
    timeout = parameters["client_worker_timeout"]
    with Client(question.access.config, reply_timeout=timeout, attempts=1) as client:
        hosts = client.hosts()
        if parameters["inspect"]:
            alive = {status.host for status in hosts if status.alive}
            where = [
                (host, image["name"])
                for image in shown["images"]
                for host in image["hosts"]
                if host in alive
            ]
            hosts, errors = inspection.inspect(client, where, parameters["wait_timeout"])
            shown["problems"] += map(str, errors)
    hosts = tuple(status for status in hosts if question.is_of(status.host))
    looks = images.looks(hosts)
    for image in shown["images"]:
        image["looks"] = looks.get(image["name"], [])
    if parameters["bases"]:
        _add_bases(shown, hosts, question)
    return shown


def _add_bases(
    shown: dict[str, Any], hosts: tuple[HostStatus, ...], question: info.Question
) -> None:
    known = images.bases(hosts)
    for image in shown["images"]:
        image["bases"] = known.pop(image["name"], [])
    shown["other_bases"] = {name: bases for name, bases in known.items() if question.is_about(name)}
    shown["leftovers"] = images.leftovers(hosts)


def main() -> None:
    answer(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), ask)


if __name__ == "__main__":
    main()
