#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_vms
short_description: Make many vms from original images at once; run, stop, adopt and remove them
version_added: 0.1.0
description:
  - Brings a list of vms, or a number of vms whose names differ by a number, to a state in one task,
    as M(maglica.cloud.maglica_vm) does with one.
  - All new vms are placed together. If any one of them cannot be placed, or is refused for another
    reason, none is made and nothing is changed.
  - What fails later for one vm does not stop the others. The module finishes them, then fails with
    the names of all that failed and the causes.
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.where
  - maglica.cloud.connection
  - maglica.cloud.listing.source
  - maglica.cloud.vm
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - Tells the host on which each vm would be made now. Nothing is reserved there.
      - Fails where the client worker would refuse what is asked for first, such as a start for
        which there is no room, and where the host is known to have found that the image can't be
        customized so.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: full
    details:
      - Has the vms that change.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details:
      - Nothing is printed while an asynchronous task runs.
  action:
    description: Has an action plugin, so that some of it runs on the controller.
    support: full
    details:
      - Prints how many requests are in which phase, on standard error, when the module runs on the
        controller; of up to four vms, or with C(-v), each phase of each vm.
options:
  name:
    description:
      - The names of the vms, with C(%d) for the number, or C(%02d) for a number of at least two
        digits. So V(web%02d.example.jp) stands for C(web01.example.jp), C(web02.example.jp) and so
        on.
      - With O(state=absent) all of them that were made are removed.
      - Where that is no host name, O(hostname) has to be another pattern, with the same numbers.
    type: str
  count:
    description:
      - How many vms of O(name) there shall be at least. Existing ones count, whatever their
        numbers, if they were made by Maglica; only the missing ones are made, with the lowest
        numbers that are free. More than that are left alone.
      - This is unlike C(amazon.aws.ec2_instance), where C(count) makes so many new ones each time.
      - O(name) needs this or O(exact_count), not both, unless O(state=absent).
    type: int
  first:
    description:
      - The lowest number that a new vm gets.
    type: int
    default: 1
  exact_count:
    description:
      - How many vms of O(name) there shall be, no more and no less. Missing ones are made as with
        O(count). Of too many, those with the highest numbers are removed. One of them that was made
        from another O(image), or is on another O(host), than those that are given is an error.
    type: int
  vms:
    description:
      - The vms, at most 1000. What an entry does not say is as the module's option of the same name
        says. O(hostname), and an O(interfaces) with a MAC address or addresses, can't be said so
        for several vms.
      - All that is to do for them is sent to the client worker in one message of at most 1 MiB and
        1000 requests. Long lists of keys or interfaces for each vm can reach the first limit, and
        several requests for each with O(wait=false) the second. The module fails then before
        anything is done.
      - Either this, O(name) or O(filters) must be given.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The name of the vm, as O(maglica.cloud.maglica_vm#module:name).
        type: str
        required: true
      hostname:
        description: As O(hostname), for this vm.
        type: str
      image:
        description: As O(image), for this vm.
        type: str
      state:
        description: As O(state), for this vm.
        type: str
        choices: [present, running, paused, stopped, restarted, absent]
      host:
        description: As O(host), for this vm.
        type: str
      clone_mode:
        description: As O(clone_mode), for this vm.
        type: str
        choices: [linked, full]
      pool:
        description: As O(pool), for this vm.
        type: str
      vcpus:
        description: As O(vcpus), for this vm.
        type: int
      memory:
        description: As O(memory), for this vm.
        type: str
      disk_size:
        description: As O(disk_size), for this vm.
        type: str
      disks:
        description: As O(disks), for this vm; nothing of O(disks) counts then.
        type: list
        elements: dict
        suboptions:
          name:
            description: As O(disks[].name), for this vm.
            type: str
            required: true
          state:
            description: As O(disks[].state), for this vm.
            type: str
            choices: [present, absent]
            default: present
          size:
            description: As O(disks[].size), for this vm.
            type: str
          pool:
            description: As O(disks[].pool), for this vm.
            type: str
          bus:
            description: As O(disks[].bus), for this vm.
            type: str
            choices: [virtio, scsi, sata]
          cache:
            description: As O(disks[].cache), for this vm.
            type: str
            choices: [none, writeback, writethrough, directsync, unsafe]
          discard:
            description: As O(disks[].discard), for this vm.
            type: str
            choices: [unmap, ignore]
          serial:
            description: As O(disks[].serial), for this vm.
            type: str
          keep:
            description: As O(disks[].keep), for this vm.
            type: bool
            default: false
      cdrom:
        description: As O(cdrom), for this vm; nothing of O(cdrom) counts then.
        type: dict
        suboptions:
          path:
            description: As O(cdrom.path), for this vm.
            type: str
          pool:
            description: As O(cdrom.pool), for this vm.
            type: str
          volume:
            description: As O(cdrom.volume), for this vm.
            type: str
          state:
            description: As O(cdrom.state), for this vm.
            type: str
            choices: [present, absent]
            default: present
      boot_order:
        description: As O(boot_order), for this vm; nothing of O(boot_order) counts then.
        type: list
        elements: str
        choices: [disk, cdrom, network]
      interfaces:
        description: As O(interfaces), for this vm; nothing of O(interfaces) counts then.
        type: list
        elements: dict
        aliases: [networks]
        suboptions:
          network:
            description: As O(interfaces[].network), for this vm.
            type: str
          bridge:
            description: As O(interfaces[].bridge), for this vm.
            type: str
          mac:
            description: As O(interfaces[].mac), for this vm.
            type: str
          state:
            description: As O(interfaces[].state), for this vm.
            type: str
            choices: [present, absent]
            default: present
          model:
            description: As O(interfaces[].model), for this vm.
            type: str
            choices: [virtio, e1000, e1000e, rtl8139, vmxnet3]
          link:
            description: As O(interfaces[].link), for this vm.
            type: str
            choices: [up, down]
          filter:
            description: As O(interfaces[].filter), for this vm.
            type: str
          vlan:
            description: As O(interfaces[].vlan), for this vm.
            type: list
            elements: int
          virtualport:
            description: As O(interfaces[].virtualport), for this vm.
            type: str
            choices: [openvswitch]
          addresses:
            description: As O(interfaces[].addresses), for this vm.
            type: list
            elements: str
            default: []
          gateways:
            description: As O(interfaces[].gateways), for this vm.
            type: list
            elements: str
            default: []
          nameservers:
            description: As O(interfaces[].nameservers), for this vm.
            type: list
            elements: str
            default: []
          search:
            description: As O(interfaces[].search), for this vm.
            type: list
            elements: str
            default: []
      customize:
        description: As O(customize), for this vm.
        type: str
        choices: [auto, cloud-init, offline, none]
      user:
        description: As O(user), for this vm; nothing of O(user) counts then.
        type: dict
        suboptions:
          name:
            description: As O(user.name), for this vm.
            type: str
          groups:
            description: As O(user.groups), for this vm.
            type: list
            elements: str
            default: []
          sudo:
            description: As O(user.sudo), for this vm.
            type: str
          shell:
            description: As O(user.shell), for this vm.
            type: str
          ssh_authorized_keys:
            description: As O(user.ssh_authorized_keys), for this vm.
            type: list
            elements: str
            default: []
          password:
            description: As O(user.password), for this vm.
            type: str
      user_data:
        description: As O(user_data), for this vm.
        type: str
      ssh_authorized_keys:
        description: As O(ssh_authorized_keys), for this vm.
        type: list
        elements: str
      root_password:
        description: As O(root_password), for this vm.
        type: str
      tags:
        description: As O(tags), for this vm.
        type: list
        elements: str
      autostart:
        description: As O(autostart), for this vm.
        type: bool
      description:
        description: As O(description), for this vm.
        type: str
      protected:
        description: As O(protected), for this vm.
        type: bool
      force:
        description: As O(force), for this vm.
        type: bool
      stop_timeout:
        description: As O(stop_timeout), for this vm.
        type: int
      allow_restart:
        description: As O(allow_restart), for this vm.
        type: bool
      adopt:
        description: As O(adopt), for this vm.
        type: bool
      remove_foreign_disks:
        description: As O(remove_foreign_disks), for this vm.
        type: bool
  filters:
    description:
      - With O(adopt), take over all vms of others that meet one of these filters, or give back all
        adopted ones that do, instead of those of a list. Check mode tells which these are.
      - A filter is met when all its conditions are. In a list, one entry must match, as a shell
        pattern, or as a regular expression for the whole text when it starts with V(~).
      - A host that may have one and does not answer is an error, and so are two vms of one name,
        of which O(filters[].host) says which one is meant.
    type: list
    elements: dict
    suboptions:
      name:
        description: The domain's name.
        type: list
        elements: str
      host:
        description: The host that the domain is on.
        type: list
        elements: str
      state:
        description: The state, such as V(running).
        type: list
        elements: str
      kind:
        description:
          - V(vm) or V(image). A domain that is off is an original image until it is adopted, and is
            taken over only where this says so. Without it a filter is for vms.
        type: list
        elements: str
      uuid:
        description: The domain's UUID.
        type: list
        elements: str
      tag:
        description: One of the tags of an adopted vm.
        type: list
        elements: str
  prune_tag:
    description:
      - A tag of which O(vms) is the whole truth. All other vms that have it are removed, on
        whichever host they are, and those of the list get it, beside the tags that O(tags) gives
        them or that they have.
      - An empty list removes all that have the tag.
      - In check mode RV(removed) names those that would go. If one of them is protected
        (V(vm_protected)), or was not made by Maglica, or if a host does not answer, which may have
        more of them, the module fails before anything is done.
      - O(remove_foreign_disks) counts for vms of the list only. An adopted one that shall go stands
        there with O(vms[].state=absent).
      - Only vms that Maglica made, or adopted, have tags. No other vm and no image is looked at.
      - A vm that is just being made with the tag, and is not in the list, is cancelled.
      - Nothing is removed without this. It goes with O(vms), not with O(name).
    type: str
seealso:
  - module: maglica.cloud.maglica_vm
  - module: maglica.cloud.maglica_vm_info
"""

EXAMPLES = r"""
- name: Have ten web servers, on the hosts that suit best
  maglica.cloud.maglica_vms:
    name: web%02d.example.jp
    count: 10
    image: debian12.original
  register: web

- name: Use their addresses in this play
  ansible.builtin.add_host:
    name: "{{ item.name }}"
    groups: web
    ansible_host: "{{ item.address }}"
  loop: "{{ web.vms }}"
  loop_control:
    label: "{{ item.name }}"
  changed_when: false

- name: Have exactly four of them, and stop those
  maglica.cloud.maglica_vms:
    name: web%02d.example.jp
    exact_count: 4
    image: debian12.original
    state: stopped
    force: true

- name: Have a list of vms that differ
  maglica.cloud.maglica_vms:
    image: debian12.original
    memory: 512MiB
    vms:
      - name: db.example.jp
        memory: 1GiB
        host: kvm0.example.jp
      - name: cache.example.jp
      - name: old.example.jp
        state: absent

- name: Restart two of them
  maglica.cloud.maglica_vms:
    state: restarted
    vms:
      - name: web01.example.jp
      - name: web02.example.jp

- name: Take over what runs on a host already
  maglica.cloud.maglica_vms:
    adopt: true
    filters:
      - name: ["old_*"]
        host: [kvm0.example.jp]
    tags: [legacy]

- name: Have these vms of the shop, and no others
  maglica.cloud.maglica_vms:
    image: debian12.original
    prune_tag: shop
    vms:
      - name: shop-web.example.jp
      - name: shop-db.example.jp
        memory: 1GiB
        protected: true

- name: Remove all web servers
  maglica.cloud.maglica_vms:
    name: web%02d.example.jp
    state: absent
"""

RETURN = r"""
vms:
  description:
    - The vms, in the order of the list, or of their numbers, without those that were to be absent
      and are. All have the same keys, with none or an empty list where nothing is known, as of a vm
      with O(wait=false) or in check mode.
  returned: always, but for errors that stand against the task as a whole
  type: list
  elements: dict
  sample:
    - name: web01.example.jp
      changed: true
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
      restart_needed: false
      next_start: null
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
      address: 192.168.122.101
      addresses: [192.168.122.101]
      disks:
        - target: vda
          device: disk
          format: qcow2
          source: /var/lib/libvirt/images/web01.example.jp.vda.5e0c9b1e.qcow2
          capacity_bytes: 2147483648
          allocation_bytes: null
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
      description: The host that it is, or would be on.
      type: str
      returned: always
    changed:
      description: Whether it was changed, or would be in check mode.
      type: bool
      returned: always
    state:
      description:
        - What the host says of it, V(running), V(stopped) or another state of libvirt.
      type: str
      returned: always
    failed:
      description: That the vm could not be brought to the state.
      type: bool
      returned: when it failed
    code:
      description: What kind of error that was.
      type: str
      returned: when it failed
    msg:
      description: What went wrong.
      type: str
      returned: when it failed
    adopted:
      description: Whether others made it, and Maglica may run and change it.
      type: bool
      returned: always
    image:
      description: The original image from which it was made.
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
      description: Whether its disks are overlays of a base, V(linked), or independent, V(full).
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
      description: The name of the key of the user who made it.
      type: str
      returned: always
    tags:
      description: Its tags.
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
    vcpus:
      description: The number of virtual CPUs, of one that runs those that it runs with.
      type: int
      returned: always
    memory_mib:
      description: The memory in MiB, of one that runs what it runs with.
      type: int
      returned: always
    restart_needed:
      description:
        - Whether it runs with another size, or other interfaces, than it was given, and has those
          from its next start on. A warning says so, too.
      type: bool
      returned: always
    next_start:
      description:
        - The C(vcpus) and C(memory_mib) from its next start on, and the C(interfaces) if these are
          others then. Null if nothing is other.
      type: dict
      returned: always
    interfaces:
      description:
        - The network interfaces, each with its MAC address (C(mac)), the libvirt network or bridge
          that it is connected to (C(network), and C(bridge) if it is one), known addresses
          (C(addresses)), C(model), C(link), C(filter), C(vlan) and C(virtualport) as the options
          of M(maglica.cloud.maglica_vm) have them.
      type: list
      elements: dict
      returned: always
    address:
      description: The address to reach it at, or none when it is not known.
      type: str
      returned: always
    addresses:
      description: All addresses that are known.
      type: list
      elements: str
      returned: always
    disks:
      description:
        - Its disks, each with its target in the guest (C(target)), its C(format), its file
          (C(source)), C(bus), C(serial), C(cache) and C(discard). Those that were made for it also
          have their C(name), their C(pool) and the size that they were made with
          (C(capacity_bytes)). M(maglica.cloud.maglica_vm_info) tells the sizes that they have now.
      type: list
      elements: dict
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
          O(remove_foreign_disks=true) is said. Empty for any other vm.
      type: list
      elements: str
      returned: always
    ssh_host_keys:
      description:
        - The public SSH host keys that Maglica gave it, each as in known_hosts after the host's
          name.
      type: list
      elements: str
      returned: always
removed:
  description:
    - The vms that were to be absent and are, or in check mode would be.
  returned: always, but for errors that stand against the task as a whole
  type: list
  elements: dict
  sample:
    - name: web03.example.jp
      host: kvm1.example.jp
      changed: true
      foreign_disks: []
  contains:
    name:
      description: Its name.
      type: str
      returned: always
    host:
      description: The host that it was on, none when it was not there.
      type: str
      returned: always
    changed:
      description: Whether it was removed, or would be in check mode.
      type: bool
      returned: always
    foreign_disks:
      description: As RV(maglica.cloud.maglica_vm#module:foreign_disks).
      type: list
      elements: str
      returned: always
requests:
  description:
    - The requests that did the work, one for each vm about which something was asked of a host, the
      last one if there were several. As RV(maglica.cloud.maglica_vm#module:request), with the vm's
      name.
  returned: always, but for errors that stand against the task as a whole
  type: list
  elements: dict
  sample:
    - name: web01.example.jp
      id: 2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e
      kind: clone
      state: done
      host: kvm0.example.jp
      who: root
      created: "2026-11-24T06:00:00.000000Z"
      updated: "2026-11-24T06:00:03.100000Z"
      seconds: 3.1
      phase: null
      phases:
        - name: base
          seconds: 0.01
      failure: null
  contains:
    name:
      description: The name of the vm.
      type: str
      returned: always
    id:
      description: The id of the request.
      type: str
      returned: always
    kind:
      description: What was asked for.
      type: str
      returned: always
    state:
      description:
        - Where it stands, V(queued), V(sent), V(running), V(done), V(failed) or V(cancelled).
      type: str
      returned: always
    host:
      description: The host that does it.
      type: str
      returned: always
    who:
      description: The name of the user's key.
      type: str
      returned: always
    created:
      description: When it was accepted (ISO 8601, UTC).
      type: str
      returned: always
    updated:
      description: When it last changed (ISO 8601, UTC).
      type: str
      returned: always
    seconds:
      description: How long it took so far.
      type: float
      returned: always
    phase:
      description: The phase that it is in.
      type: str
      returned: always
    phases:
      description: The phases that are done, and how many seconds each took.
      type: list
      elements: dict
      returned: always
    failure:
      description: Why it failed, with an error code and a text.
      type: dict
      returned: always
code:
  description:
    - What kind of error it was, of several the first one's, such as V(name_taken), V(no_room) or
      V(request_timeout). It does not change with the text in RV(ignore:msg).
  returned: on failure
  type: str
  sample: no_room
"""

from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils import _vm_options as options
from ansible_collections.maglica.cloud.plugins.module_utils._ansible import (
    ManyProgress,
    access,
    connection_spec,
)
from ansible_collections.maglica.cloud.plugins.module_utils._ending import (
    errors_as_failure,
    with_diff,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import adoptable
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.filter import Filters
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.source import Fleet
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.group import (
    Group,
    Pattern,
    Whole,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.shown import (
    difference,
    foreign_disks,
    of_request,
    unknown,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.target import (
    Target,
    failures,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.task import Asked, Task
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.errors import NameInvalid
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import one_line, some
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.table import Presence
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.wire.client import Client


def argument_spec() -> dict:
    """Return the options of the module."""
    return {
        "vms": {
            "type": "list",
            "elements": "dict",
            "options": {"name": {"type": "str", "required": True}, **options.vm_spec()},
        },
        "filters": {
            "type": "list",
            "elements": "dict",
            "options": {key: {"type": "list", "elements": "str"} for key in adoptable.KEYS},
        },
        "prune_tag": {"type": "str"},
        "name": {"type": "str"},
        "count": {"type": "int"},
        "exact_count": {"type": "int"},
        "first": {"type": "int", "default": 1},
        **options.with_defaults(options.vm_spec()),
        **options.wait_spec(),
        **connection_spec(),
    }


def asked(parameters: dict) -> Asked:
    """Return the vms that the parameters describe. Raises NameInvalid."""
    common = {name: parameters[name] for name in options.vm_spec()}
    if parameters["name"] is None:
        vms = [
            options.wanted(entry["name"], {name: entry[name] for name in common}, common)
            for entry in parameters["vms"] or []
        ]
        tag = parameters["prune_tag"]
        if tag is not None and parameters["vms"] is None:
            # A list that was left empty by mistake looks the same as one that is not there.
            raise NameInvalid("prune_tag goes with vms: with vms: [] all that have it go")
        return vms if tag is None else Whole(tag, vms)
    pattern = Pattern.parse(parameters["name"])
    exact_count = parameters["exact_count"]
    hostnames = None
    if common["hostname"] is not None:
        hostnames = Pattern.parse(common["hostname"])
        common["hostname"] = hostnames.name(parameters["first"])
    return Group(
        pattern,
        options.wanted(pattern.name(parameters["first"]), common),
        count=(parameters["count"] or 0) if exact_count is None else exact_count,
        exact=exact_count is not None,
        first=parameters["first"],
        hostnames=hostnames,
    )


def meeting(parameters: dict, filters: Filters, fleet: Fleet) -> Asked:
    """Return the vms that meet the filters, as the parameters describe them."""
    common = {name: parameters[name] for name in options.vm_spec()}
    found = adoptable.find(fleet, filters, adopt=parameters["adopt"])
    return [options.wanted(each.name, {**common, "host": each.host}) for each in found]


def problems(parameters: dict) -> Iterator[str]:
    """Yield what does not go together."""
    if parameters["filters"] is not None and parameters["adopt"] is None:
        yield "filters go with adopt: for all else name or vms says which vms are meant"
    if parameters["name"] is not None and parameters["adopt"] is not None:
        yield "adopt goes with vms or filters, since it makes no vm"
    if parameters["name"] is not None and parameters["state"] != "absent":
        if parameters["count"] is None and parameters["exact_count"] is None:
            yield "count or exact_count is needed with name, but for state=absent"
    elif parameters["name"] is not None:
        for option, nothing in (("count", None), ("exact_count", None), ("first", 1)):
            if parameters[option] != nothing:
                yield f"{option} makes no sense with state=absent, which removes all of name"
    for option in ("count", "exact_count", "first"):
        if (parameters[option] or 0) < 0:
            yield f"{option} is below 0"
    yield from shared(parameters)


def shared(parameters: dict) -> Iterator[str]:
    """Yield what is said for all of ``vms`` and would be of two, which can't both have it."""
    unique = [("hostname", "", parameters["hostname"])]
    for index, nic in enumerate(parameters["interfaces"] or []):
        if nic["state"] == "present":
            unique.append((f"interfaces[{index}]", " MAC address", nic["mac"]))
            unique.append((f"interfaces[{index}]", " addresses", nic["addresses"]))
    for option, what, value in unique:
        having = [
            entry["name"]
            for entry in parameters["vms"] or []
            if entry[option.partition("[")[0]] is None
            and (entry["state"] or parameters["state"]) != "absent"
        ]
        if value and len(having) > 1:
            yield f"{option}: {some(having)} would have the same{what}: say it in each entry of vms"


def differences(members: list) -> dict:
    """Return how the vms that have changed were and how they are, by name."""
    changed = {member.name: difference(member) for member in members if member.has_changed}
    return {
        side: {name: each[side] for name, each in changed.items()} for side in ("before", "after")
    }


def is_removed(member: Target) -> bool:
    """Tell whether the vm was to be absent, and is."""
    return member.wanted.state is Presence.ABSENT and member.error is None


def host_of(member: Target) -> str | None:
    """Return the host that the vm is, or was, or would be on."""
    return member.request.host if member.request else member.before.get("host")


def shown(member: Target) -> dict:
    """Return what the result has of a vm."""
    known = member.vm or unknown(member.name, host_of(member))
    result = {**known, "changed": member.has_changed}
    if member.error is not None:
        result.update(failed=True, code=member.error.code, msg=one_line(str(member.error)))
    return result


def result_of(members: list) -> dict:
    """Return the result of the module, or of its failure."""
    result = {
        "changed": any(member.has_changed for member in members),
        "vms": [shown(member) for member in members if not is_removed(member)],
        "removed": [
            {
                "name": member.name,
                "host": host_of(member),
                "changed": member.has_changed,
                "foreign_disks": foreign_disks(member),
            }
            for member in members
            if is_removed(member)
        ],
        "requests": [
            {"name": member.name, **of_request(member.request)}
            for member in members
            if member.request
        ],
    }
    error = failures(members)
    if error is not None:
        result.update(msg=one_line(str(error)), code=error.code)
    return result


def run(parameters: dict, check_mode: bool, progress: ManyProgress) -> list[Target]:
    """Do, or in check mode foresee, what the parameters ask for."""
    filters = parameters["filters"]
    found = None if filters is None else adoptable.filters_of(filters)
    wanted = asked(parameters) if found is None else []
    how = access(parameters)
    with Client(how.config, reply_timeout=how.reply_timeout) as client:
        waiting, quiet = options.waiting(parameters), progress.listener.quiet(client)
        fleet = how.fleet(client)
        if found is not None:
            wanted = meeting(parameters, found, fleet)
        task = Task(client, fleet, waiting, progress, progress.submitted, on_quiet=quiet)
        return task.foresee(wanted) if check_mode else task.bring(wanted)


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        mutually_exclusive=[
            *(("vms", name) for name in ("name", "count", "exact_count", "first", "filters")),
            *(("filters", name) for name in ("name", "count", "exact_count", "first", "host")),
            ("count", "exact_count"),
            *(("prune_tag", name) for name in ("name", "filters")),
        ],
        required_one_of=[("vms", "name", "filters")],
        required_by={"count": "name", "exact_count": "name"},
    )
    parameters = module.params
    for problem in problems(parameters):
        module.fail_json(msg=problem)
    # What ansible-playbook -v shows more of.
    progress = ManyProgress(verbose=module._verbosity > 0)  # pylint: disable=protected-access
    with errors_as_failure(module, dict):
        members = run(parameters, module.check_mode, progress)
    options.warn(module, members)
    result = with_diff(module, result_of(members), differences(members))
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
