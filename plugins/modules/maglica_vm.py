#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_vm
short_description: Make a vm from an original image, or adopt one; run, stop, resize and remove it
version_added: 0.1.0
description:
  - Clones an original image to a vm on the host that suits it best, with its own host name,
    network, machine identity and keys, and starts it.
  - Starts, pauses, stops, restarts, resizes, tags, describes, protects, flattens and removes vms
    that were made so, and changes their disks, media and network interfaces. Original images, and
    vms that others made, are never touched, unless a vm is taken over by O(adopt).
  - The work is done by a request to the client worker, which is kept until it is done. A task that
    was interrupted or timed out can be run again, and joins the request that is under way.
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
      - Tells the host on which a vm would be made now. Nothing is reserved there.
      - Fails where the client worker would refuse what is asked for first, such as a start for
        which there is no room, and where the host is known to have found that the image can't be
        customized so.
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
      - The name of the vm, by which its host knows it. Its disks are named by it, too.
      - Any name that libvirt takes, of at most 200 bytes, such as V(Web_1). A slash and control
        characters are not allowed in it, nor blanks at an end.
    type: str
    required: true
seealso:
  - module: maglica.cloud.maglica_image
  - plugin: maglica.cloud.maglica
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Have an image of the catalog
  maglica.cloud.maglica_image:
    name: debian-13

- name: Turn it into a running guest, and wait until it is on the network
  maglica.cloud.maglica_vm:
    name: vm0.example.jp
    image: debian-13
    user:
      ssh_authorized_keys:
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxyaNUB7fqBSWaTjaVYxtBUdQ5FPVhaRaIXoBAo0tbN admin
    wait_for: address
  register: guest

- name: Say how to log in
  ansible.builtin.debug:
    msg: "ssh debian@{{ guest.vm.address }}"

- name: Make a guest with a fixed address, two CPUs and a key of root's, of an image made by hand
  maglica.cloud.maglica_vm:
    name: vm1.example.jp
    image: debian12.original
    vcpus: 2
    memory: 1GiB
    interfaces:
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

- name: Make a guest with a root file system of 20 GiB, whatever the image has
  maglica.cloud.maglica_vm:
    name: vm3.example.jp
    image: debian12.original
    disk_size: 20GiB

- name: Make a guest with a user, and have its cloud-init install something
  maglica.cloud.maglica_vm:
    name: vm4.example.jp
    image: debian-13
    customize: cloud-init
    user:
      name: admin
      sudo: ALL=(ALL) NOPASSWD:ALL
      ssh_authorized_keys:
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxyaNUB7fqBSWaTjaVYxtBUdQ5FPVhaRaIXoBAo0tbN admin
    user_data: |
      #cloud-config
      packages: [nginx]

- name: Make a guest whose vm has a name that is no host name
  maglica.cloud.maglica_vm:
    name: Web_1
    hostname: web1.example.jp
    image: debian12.original

- name: Run the stopped one, and wait until it has an address
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: running
    wait_for: address
  register: result

- name: Say what it is for
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    tags: [web, "stage:test"]

- name: Have its host start it, and nobody remove it
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    autostart: true
    description: The shop's front end
    protected: true

- name: Have it stand still
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: paused

- name: Restart it with more memory, by force after a minute
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: restarted
    memory: 2GiB
    stop_timeout: 60
    force: true

- name: Give it more memory, by a restart if it can't have that while it runs
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    memory: 4GiB
    allow_restart: true

- name: Give it a disk, which its guest finds as /dev/disk/by-id/virtio-data
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    disks:
      - name: data
        size: 100GiB
        discard: unmap

- name: Take that away again, and keep what is on it
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    disks:
      - name: data
        state: absent
        keep: true

- name: Put a medium into its drive, to boot from it the next time
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    cdrom:
      path: /srv/media/rescue.iso
    boot_order: [cdrom, disk]

- name: Give it a second interface
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    interfaces:
      - network: default
      - bridge: br0

- name: Unplug the cable of one of its interfaces
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    interfaces:
      - mac: "52:54:00:6b:3c:58"
        link: down

- name: Shut it down, by force after a minute
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: stopped
    stop_timeout: 60
    force: true

- name: Protect it no more
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    protected: false

- name: Remove it
  maglica.cloud.maglica_vm:
    name: vm2.example.jp
    state: absent

- name: Take over a vm that is there already, and give it more memory at its next start
  maglica.cloud.maglica_vm:
    name: old_db
    adopt: true
    memory: 4GiB

- name: Give it back as it is
  maglica.cloud.maglica_vm:
    name: old_db
    adopt: false

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
        source: /var/lib/libvirt/images/vm0.example.jp.vda.5e0c9b1e.qcow2
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
      description: The host that it is on.
      type: str
      returned: always
    state:
      description: What the host says of it, V(running), V(stopped) or another state of libvirt.
      type: str
      returned: always
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
      returned: when it exists
foreign_disks:
  description:
    - The files of others that were removed with an adopted vm by O(remove_foreign_disks=true). In
      check mode those that its host would remove, unless something else refers to them.
  returned: when an adopted vm was removed
  type: list
  elements: str
  sample: [/srv/vms/old_db.qcow2]
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
    created: "2026-11-24T06:00:00.000000Z"
    updated: "2026-11-24T06:00:03.100000Z"
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
    access,
    connection_spec,
)
from ansible_collections.maglica.cloud.plugins.module_utils._ending import (
    errors_as_failure,
    with_diff,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.shown import (
    difference,
    of_member,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.target import Target
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


def run(parameters: dict, check_mode: bool, progress: Progress) -> Target:
    """Do, or in check mode foresee, what the parameters ask for."""
    how = access(parameters)
    spec = {name: parameters[name] for name in options.vm_spec()}
    asked = [options.wanted(parameters["name"], spec)]
    with Client(how.config, reply_timeout=how.reply_timeout) as client:
        waiting, quiet = options.waiting(parameters), progress.listener.quiet(client)
        task = Task(client, how.fleet(client), waiting, progress, on_quiet=quiet)
        (member,) = task.foresee(asked) if check_mode else task.bring(asked)
    return member


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    progress = Progress()
    with errors_as_failure(module, progress.seen):
        member = run(module.params, module.check_mode, progress)
    options.warn(module, [member])
    result = with_diff(module, of_member(member), difference(member))
    if member.error:
        module.fail_json(msg=one_line(str(member.error)), code=member.error.code, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
