#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_vm
short_description: Make a vm from an original image, run, stop, resize and remove it
version_added: 0.1.0
description:
  - Clones an original image to a vm on the host that suits it best, with its own host name,
    network, machine identity and keys, and starts it.
  - Starts, stops, resizes and removes vms that were made so. Original images, and vms that others
    made, are never touched.
  - The work is done by a request to the client worker, which is kept until it is done. A task that
    was interrupted or timed out can be run again, and joins the request that is under way.
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.connection
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - Tells the host on which a vm would be made now. Nothing is reserved there.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details:
      - Nothing is printed while an asynchronous task runs.
  action:
    description: Has an action plugin, so that some of it runs on the controller.
    support: full
    details:
      - Prints each phase of a request, on standard error, when the module runs on the controller.
options:
  name:
    description:
      - The name of the vm, which is its host name too. Lower-case letters, digits and hyphens, in
        labels that are separated by dots, at most 64 characters.
    type: str
    required: true
  image:
    description:
      - The original image, the name of an inactive domain, from which the vm is made if it is not
        there.
      - A vm of that name that was made from another image is an error.
      - Not needed when the vm is there.
    type: str
  state:
    description:
      - V(present) makes the vm and starts it if it is not there, else leaves it on or off.
      - V(running) makes it if it is not there, and starts it if it is off. One that is paused,
        suspended or crashed is let go on, woken or reset.
      - V(stopped) makes it if it is not there, without starting it. A running vm is shut down.
      - V(absent) removes the vm, running or not, with its disks and all that belongs to it. A
        request that is just making it is cancelled. While two hosts have a domain of its UUID it is
        an error (V(uuid_twice)), and nothing is removed.
    type: str
    choices: [present, running, stopped, absent]
    default: present
  host:
    description:
      - The host on which the vm is made. Without it the client worker chooses the one with the
        lowest load for its weight, of those that have the image and room. The load is the memory of
        all running vms, and of those made by Maglica that are off, so that they are spread as well.
      - Room is memory that is not committed, and disk space. What is committed is the memory of all
        that runs on a host or is about to, by the definitions, however much of it is used. How much
        may be, says C(memory_overcommit) in the client worker's configuration. A vm that is off is
        not started either where it would be more (V(no_room)).
      - A vm that is on another host is an error. Vms are not moved.
    type: str
  clone_mode:
    description:
      - V(linked) makes disks that are overlays of a base, a prepared copy of the image that the
        host keeps.
      - V(full) makes disks that depend on nothing.
      - A linked vm that is there is made independent of its base with V(full), whether it runs or
        not. A full one stays so.
    type: str
    choices: [linked, full]
    default: linked
  pool:
    description:
      - The storage pool for the vm's disks. Without it the one with most room is used.
      - Only used when the vm is made.
    type: str
  vcpus:
    description:
      - The number of virtual CPUs. Without it a vm is made with as many as the image has.
      - A running vm gets another number at its next start.
    type: int
  memory:
    description:
      - The memory, in MiB. Without it a vm is made with as much as the image has.
      - A running vm gets another size at its next start.
    type: int
  networks:
    description:
      - The network interfaces of the vm. Without it the vm has those of the image, with MAC
        addresses of its own, and uses DHCP.
      - An interface keeps the device, the bandwidth, the network filter and the isolation of the
        image's interface at the same place, whatever it is connected to. One that the image has not
        has no filter.
      - A filter gets the addresses of O(networks[].addresses) in place of the image's. Without
        them libvirt learns the IPv4 address; a filter that can't learn it, or that is for an IPv6
        address, is an error then.
      - VLAN tags and virtual ports belong to the image's own connection. An interface that names
        another network or bridge has those which that network defines, or none; one that names the
        same, or none, keeps them.
      - Only used when the vm is made.
    type: list
    elements: dict
    suboptions:
      network:
        description: A libvirt network. Not together with O(networks[].bridge).
        type: str
      bridge:
        description:
          - A bridge of the host.
          - Without this and O(networks[].network) the interface is connected as the one of the
            image at the same place.
        type: str
      mac:
        description:
          - The MAC address. Without it one is made up.
        type: str
      addresses:
        description: IPv4 and IPv6 addresses with their prefix length. Without them DHCP is used.
        type: list
        elements: str
        default: []
      gateways:
        description: The default gateways, at most one for each of IPv4 and IPv6.
        type: list
        elements: str
        default: []
      nameservers:
        description: The addresses of name servers.
        type: list
        elements: str
        default: []
      search:
        description: The domains in which names are looked up.
        type: list
        elements: str
        default: []
  ssh_authorized_keys:
    description:
      - Public SSH keys that may log in as root, each a line of the form C(type base64 comment).
      - Only used when the vm is made.
    type: list
    elements: str
    default: []
  root_password:
    description:
      - The hash of root's password, such as the filter P(ansible.builtin.password_hash#filter)
        makes it. A password in clear is refused.
      - Only used when the vm is made.
    type: str
  tags:
    description:
      - The tags of the vm, all of them; an empty list takes them away. Without this the vm keeps
        those that it has.
      - A tag has at most 63 letters, digits and characters of C(_.:=+@/-), the first of them a
        letter, a digit or C(_). A running vm gets them at once.
      - The inventory plugin shows them as C(maglica_tags).
    type: list
    elements: str
  force:
    description:
      - With O(state=stopped), end a vm that did not shut down within O(stop_timeout), as if its
        power plug was pulled.
    type: bool
    default: false
  stop_timeout:
    description:
      - How many seconds the guest may take to shut down.
    type: int
    default: 120
  wait:
    description:
      - Whether to wait until the work is done. With V(false), the module returns as soon as the
        client worker has the request.
    type: bool
    default: true
  wait_for:
    description:
      - What to wait for when the vm is to run.
      - V(cloned) is when its host says that the request is done.
      - V(running) is when libvirt shows it as running as well.
      - V(address) is when it has got an address by DHCP as well. A vm that is off is an error then
        (V(vm_stopped)), before anything is done, unless O(state) is V(stopped), where nothing is
        waited for, or V(running), which starts it.
    type: str
    choices: [cloned, running, address]
    default: running
  wait_timeout:
    description:
      - How many seconds to wait for all of that. Afterwards the module fails, but the request goes
        on, and the same task joins it when it is run again.
    type: int
    default: 1800
seealso:
  - plugin: maglica.cloud.maglica
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Turn an image into a running guest
  maglica.cloud.maglica_vm:
    name: vm0.example.jp
    image: debian12.original

- name: Make a guest with a fixed address, two CPUs and a key, and wait until it is on the network
  maglica.cloud.maglica_vm:
    name: vm1.example.jp
    image: debian12.original
    vcpus: 2
    memory: 1024
    networks:
      - network: default
        addresses: [192.0.2.7/24]
        gateways: [192.0.2.1]
        nameservers: [192.0.2.1]
    ssh_authorized_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxyaNUB7fqBSWaTjaVYxtBUdQ5FPVhaRaIXoBAo0tbN admin

- name: Make a guest whose disks depend on nothing, on a host of my choice
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    image: debian12.original
    host: kvm0.example.jp
    clone_mode: full
    state: stopped

- name: Run it, and wait until it has an address
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: running
    wait_for: address
  register: result

- name: Say what it is for
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    tags: [web, "stage:test"]

- name: Shut it down, by force after a minute
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: stopped
    stop_timeout: 60
    force: true

- name: Remove it
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: absent

# With forks in ansible.cfg or on the command line, as many at once. The inventory has the group.
- name: Make all hosts of a group
  hosts: web
  gather_facts: false
  tasks:
    - name: Make this one
      maglica.cloud.maglica_vm:
        name: "{{ inventory_hostname }}"
        image: debian12.original
      delegate_to: localhost
"""

RETURN = r"""
vm:
  description:
    - The vm as it is now. In check mode what is known of it, with the sizes and host that are
      planned. It always has the same keys, with none or an empty list where nothing is known, as of
      a vm that is just being made with O(wait=false).
    - Not there when it is absent.
  returned: when the vm is there
  type: dict
  sample:
    name: vm0.example.jp
    uuid: 5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11
    host: kvm0.example.jp
    state: running
    image: debian12.original
    image_version: 3f7a1c0e5b9d4f62a8c1e07d94b3586f20cd7be14a9f6308d5e2c7b1a0f49e3d
    request: 2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e
    clone_mode: linked
    base: 0a1b2c3d
    created: "2026-11-24T06:00:00Z"
    who: root
    vcpus: 1
    memory_mib: 512
    interfaces:
      - mac: "52:54:00:6b:3c:58"
        network: default
        addresses: [192.168.122.101]
    address: 192.168.122.101
    addresses: [192.168.122.101]
    disks:
      - target: vda
        device: disk
        format: qcow2
        source: /var/lib/libvirt/images/vm0.example.jp.vda.5e0c9b1e.qcow2
        capacity_bytes: null
        allocation_bytes: null
    tags: []
    ssh_host_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmAgZtD1g9yPvH0P8q4zUHDJdJ0T1yYF0uW8yXxkX6i
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
      description: What the host says of it, V(running), V(stopped) or another state of libvirt.
      type: str
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
    base:
      description: The id of the base that it builds upon; none of one that is independent.
      type: str
      returned: always
    created:
      description: When it was made (UTC).
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
    vcpus:
      description: The number of virtual CPUs.
      type: int
      returned: always
    memory_mib:
      description: The memory in MiB.
      type: int
      returned: always
    interfaces:
      description: The network interfaces, each with its MAC address and known addresses.
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
      description: Its disks, each with its target in the guest, its format and its file.
      type: list
      elements: dict
      returned: always
    ssh_host_keys:
      description:
        - The public SSH host keys that Maglica gave it, each as in known_hosts after the host's
          name.
      type: list
      elements: str
      returned: when it exists
request:
  description:
    - The request that did the work, the last one if there were several.
  returned: when something was asked of a host
  type: dict
  sample:
    id: 2c2d5d5e-63c4-4d5f-bd5f-3a6d3f6c3f0e
    kind: clone
    state: done
    host: kvm0.example.jp
    who: root
    created: 1795500000.0
    updated: 1795500003.1
    seconds: 3.1
    phase: null
    phases:
      - name: base
        seconds: 0.01
      - name: copy
        seconds: 0.03
      - name: customize
        seconds: 2.4
      - name: define
        seconds: 0.02
      - name: start
        seconds: 0.5
    failure: null
  contains:
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
      description: When it was accepted, in seconds since 1970.
      type: float
      returned: always
    updated:
      description: When it last changed, in seconds since 1970.
      type: float
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
    - What kind of error it was, such as V(name_taken), V(image_unknown), V(no_room), V(host_down)
      or V(request_timeout). It does not change with the text in RV(ignore:msg).
  returned: on failure
  type: str
  sample: name_taken
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils import _vm_options as options
from ansible_collections.maglica.cloud.plugins.module_utils._ansible import (
    Progress,
    connection_spec,
    errors_as_failure,
    load_config,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.fleet import Fleet
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.shown import of_member
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.target import Member
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.task import Task
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import one_line
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.wire.client import Client


def argument_spec() -> dict:
    """Return the options of the module."""
    return {
        "name": {"type": "str", "required": True},
        **options.with_defaults(options.vm_spec()),
        **options.wait_spec(),
        **connection_spec(),
    }


def run(parameters: dict, check_mode: bool, progress: Progress) -> Member:
    """Do, or in check mode foresee, what the parameters ask for."""
    config = load_config(parameters)
    fleet = Fleet(config.hosts, parameters["host_timeout"])
    spec = {name: parameters[name] for name in options.vm_spec()}
    asked = [options.wanted(parameters["name"], spec)]
    with Client(config, reply_timeout=parameters["client_worker_timeout"]) as client:
        task = Task(client, fleet, options.waiting(parameters), progress)
        (member,) = task.foresee(asked) if check_mode else task.bring(asked)
    return member


def result_of(member: Member) -> dict:
    """Return the result of the module, or of its failure."""
    result = of_member(member)
    if member.has_changed or not member.error:
        result["diff"] = {"before": member.before, "after": member.after}
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    progress = Progress()
    with errors_as_failure(module, progress.seen):
        member = run(module.params, module.check_mode, progress)
    result = result_of(member)
    if member.error:
        module.fail_json(msg=one_line(str(member.error)), code=member.error.code, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
