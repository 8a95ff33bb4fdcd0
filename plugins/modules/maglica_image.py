#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_image
short_description: Make, prepare and remove original images
version_added: 0.1.0
description:
  - Makes an original image, from which vms are cloned, of a file that each host fetches from the
    web or has already, such as the cloud image of a distribution. Those of the catalog need no more
    than their name; C(maglica image catalog) lists them.
  - The file is checked, unpacked where it is packed, and kept as it came. It is taken as a disk
    from strangers is, so that it can't name other files of the host.
  - Clones of one version of an image are built upon a base, a state of its disks that nobody
    writes to any more. It is made together with the image, or ahead of the first clone of any other
    one (O(state=prepared)).
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.where
  - maglica.cloud.connection
  - maglica.cloud.listing.source
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - Goes by the hosts' last reports, which may be some seconds old. Otherwise each host looks
        for itself whether there is something to do.
      - Fails where a report shows that the host would refuse it, such as an image that is running.
      - Where O(checksum) is the address of a file of checksums, or is not given with O(path), only
        the hosts can tell whether the file is a new version. An image that came from there is
        foreseen to stay as it is then, any other to change, with a warning.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: full
    details:
      - Has the hosts where something changes. For V(present) and V(absent) it is the checksum of
        the image's newest version and where that came from; where a file of checksums tells it, the
        address of that file stands after it.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details:
      - Nothing is printed while an asynchronous task runs.
  action:
    description: Has an action plugin, so that some of it runs on the controller.
    support: full
    details:
      - Prints each phase of a request, and each tenth of the bytes that are counted, on standard
        error, when the module runs on the controller.
options:
  name:
    description:
      - The name of the original image, a domain on its hosts.
      - For O(state=present) with neither O(url) nor O(path), that of an image of the catalog, or of
        a section C([image NAME]) of C(maglica.conf).
    type: str
    required: true
  state:
    description:
      - V(present) makes the image where it is not. Where Maglica has made one of that name, and the
        file has another checksum than its newest version, the file becomes a new version of it. Vms
        that were cloned before stay as they are. With the same checksum nothing is fetched. An
        image that was started and written to since is not replaced (V(image_unsupported)), nor one
        that is running (V(image_running)), nor another's domain of that name (V(name_taken)).
      - V(absent) removes an image that Maglica made, with all that it fetched for it. As long as
        there are vms that need it that is an error (V(not_own)), and so it is for an image that
        Maglica did not make.
      - V(prepared) has a base of the image's present version on each host, whoever made the image.
        Older ones that no vm builds upon are removed. The original image itself is only read. A
        host does the same by itself for the images that C(prepare) in its C(host_worker.conf)
        names.
      - V(released) removes all bases of the image that nothing builds upon, neither a vm nor a file
        of others, which only the run itself finds; check mode says so. What is known of its guest
        is forgotten, so that the next clone looks again.
    type: str
    choices: [present, absent, prepared, released]
    default: present
  url:
    description:
      - Where the hosts fetch the image's file, by C(http) or C(https), through the proxy of the
        host worker's environment, if that names one. Each host fetches for itself.
      - The file is a disk in the format C(qcow2) or C(raw), maybe packed with C(xz), C(gzip) or
        C(zstd).
      - A user, a password and what follows a C(?) are not recorded, and not shown in what the
        module returns. Ansible itself may log what a task is given, unless the task has C(no_log).
      - Only used with O(state=present), as are O(path), O(checksum), O(format), O(firmware),
        O(secure_boot), O(xml), O(vcpus), O(memory), O(interfaces) and O(pool).
    type: str
  path:
    description:
      - The absolute path of a file that is on the hosts already, and that every user there may
        read. It stays as it is.
    type: str
  checksum:
    description:
      - V(sha256:) or V(sha512:) and the digits, or the address of a file of checksums that has the
        name of the image's file; V(sha256:) or V(sha512:) before that address says which of several
        counts.
      - Needed with O(url).
      - With an image of the catalog it counts in place of the catalog's file of checksums, so that
        a known build is had and no other.
    type: str
  format:
    description:
      - The format of the disk, once unpacked. Without it the file itself tells.
    type: str
    choices: [qcow2, raw]
  vcpus:
    description:
      - The number of virtual CPUs of the image, and of its clones if they don't say another. V(2)
        without it.
      - Like all options of the virtual machine only used when the image, or a new version of it, is
        made.
    type: int
  memory:
    description:
      - The memory, in MiB, or with the unit C(MiB), C(GiB) or C(TiB), such as V(4GiB). V(2GiB)
        without it.
    type: str
  interfaces:
    description:
      - The network interfaces. One on the libvirt network C(default) without it.
    type: list
    elements: dict
    suboptions:
      network:
        description: A libvirt network. Not together with O(interfaces[].bridge).
        type: str
      bridge:
        description: A bridge of the host.
        type: str
  firmware:
    description:
      - What starts the guest. Without it that is as the disk's partitions say; of both, V(bios). A
        disk that says neither is an error then (V(image_unsupported)).
    type: str
    choices: [bios, uefi]
  secure_boot:
    description:
      - Whether UEFI starts only what is signed. Needs a host whose firmware can do that.
    type: bool
    default: false
  xml:
    description:
      - A definition of your own, libvirt's domain XML, as text, in the place of O(vcpus),
        O(memory), O(interfaces) and O(secure_boot). Name, UUID, MAC addresses and what lies behind
        its only disk become the image's. What names files, devices or sockets of the host is an
        error (V(image_unsupported)).
      - It may have 65,536 characters, and 512 KiB for all hosts of a task.
    type: str
  pool:
    description:
      - The storage pool for what is fetched. Without it the one with most room is used,
        and of several with as much V(default).
    type: str
  hosts:
    description:
      - The hosts. When this is empty, O(state=present) is for all hosts that are up, any other
        state for those of them that have the image (O(state=released) also for those that have a
        base of one that is gone).
    type: list
    elements: str
    aliases: [host]
    default: []
  wait:
    description:
      - Whether to wait until the work is done. With V(false), the module returns as soon as the
        client worker has the requests.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait for all hosts together. Afterwards the module fails, but the
        requests go on.
    type: int
    default: 1800
notes:
  - Only a few images are fetched at the same time, on all hosts together; four, unless
    C(imports_at_once) of the client worker's configuration says otherwise, and two on one host. The
    others wait.
seealso:
  - module: maglica.cloud.maglica_image_info
  - module: maglica.cloud.maglica_vm
"""

EXAMPLES = r"""
- name: Have an image of the catalog on all hosts
  maglica.cloud.maglica_image:
    name: debian-13

- name: Have a known build of it on one host
  maglica.cloud.maglica_image:
    name: debian-13
    checksum: "sha512:{{ '0123456789abcdef' * 8 }}"
    hosts: [kvm0.example.jp]

- name: Have an image of one's own, with the newest build that its file of checksums names
  maglica.cloud.maglica_image:
    name: golden
    url: https://images.example.jp/golden.qcow2.xz
    checksum: https://images.example.jp/SHA256SUMS
    vcpus: 4
    memory: 8GiB
    interfaces:
      - network: default
      - bridge: br0
    firmware: uefi

- name: Make it of a file that is on the hosts, by a definition of one's own
  maglica.cloud.maglica_image:
    name: appliance
    path: /srv/images/appliance.raw
    xml: |
      <domain type='kvm'>
        <memory unit='GiB'>4</memory>
        <vcpu>2</vcpu>
        <os><type arch='x86_64' machine='q35'>hvm</type></os>
        <devices>
          <disk type='file' device='disk'><target dev='sda' bus='scsi'/></disk>
          <controller type='scsi' model='virtio-scsi'/>
          <interface type='network'><source network='default'/></interface>
        </devices>
      </domain>

- name: Have an image that was installed by hand ready for clones on all its hosts
  maglica.cloud.maglica_image:
    name: debian12.original
    state: prepared

- name: Remove the bases that no vm builds upon
  maglica.cloud.maglica_image:
    name: debian12.original
    state: released

- name: Remove an image that no vm needs any more
  maglica.cloud.maglica_image:
    name: debian-12
    state: absent
"""

RETURN = r"""
hosts:
  description:
    - What was done on each host.
  returned: always, but for errors that stand against the task as a whole
  type: list
  elements: dict
  sample:
    - host: kvm0.example.jp
      changed: true
      request: 0d7d5dbe-6a0b-4d7e-9c07-0f1a4cf5b1c2
      seconds: 18.4
    - host: kvm1.example.jp
      changed: false
      request: 5b0a4b0e-9d0e-4a1c-8f44-3f1b1c1d7a55
      seconds: 0.0
  contains:
    host:
      description: The name of the host.
      type: str
      returned: always
    changed:
      description: Whether something was done there, or would be.
      type: bool
      returned: always
    request:
      description: The id of the request.
      type: str
      returned: not in check mode, and if there was something to ask of the host
    seconds:
      description: How long the work took.
      type: float
      returned: when its request has ended
    failed:
      description: V(true).
      type: bool
      returned: when it failed on that host
    msg:
      description: Why it failed there.
      type: str
      returned: when it failed on that host
    code:
      description: The kind of the error.
      type: str
      returned: when it failed on that host
code:
  description:
    - What kind of error it was, of several the first one's, such as V(checksum_differs),
      V(download_failed), V(image_unknown), V(no_room) or V(request_timeout). It does not change
      with the text in RV(ignore:msg).
  returned: on failure
  type: str
  sample: no_room
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils._ansible import (
    Progress,
    connection_spec,
    load_config,
)
from ansible_collections.maglica.cloud.plugins.module_utils._ending import (
    errors_as_failure,
    with_diff,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.config.config import Config
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage import images
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.image_plan import Place
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.manage.image_wanted import (
    ImageState,
    WantedImage,
    want,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model import sizes, urls
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.text import one_line
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.wire.client import Client

# What is asked for only where the image shall be made.
NEW = {
    "url": {"type": "str"},
    "path": {"type": "str"},
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": ["qcow2", "raw"]},
    "vcpus": {"type": "int"},
    "memory": {"type": "str"},
    "interfaces": {
        "type": "list",
        "elements": "dict",
        "options": {"network": {"type": "str"}, "bridge": {"type": "str"}},
    },
    "firmware": {"type": "str", "choices": ["bios", "uefi"]},
    "secure_boot": {"type": "bool", "default": False},
    "xml": {"type": "str"},
    "pool": {"type": "str"},
}


def argument_spec() -> dict:
    """Return the options of the module."""
    return {
        "name": {"type": "str", "required": True},
        "state": {
            "type": "str",
            "choices": [state.value for state in ImageState],
            "default": ImageState.PRESENT.value,
        },
        **NEW,
        "hosts": {"type": "list", "elements": "str", "aliases": ["host"], "default": []},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 1800},
        **connection_spec(),
    }


def wanted_image(parameters: dict, config: Config) -> WantedImage:
    """Return what the parameters describe. Raises NameInvalid or ImageUnknown."""
    state = ImageState(parameters["state"])
    new = {option: parameters[option] for option in NEW}
    memory = new.pop("memory")
    if memory is not None and state is ImageState.PRESENT:
        new["memory_mib"] = sizes.mib(memory, "memory")
    return want(parameters["name"], state, parameters["hosts"], config.images, **new)


def run(parameters: dict, check_mode: bool, progress: Progress) -> list[Place]:
    """Do, or in check mode foresee, what the parameters ask for."""
    config = load_config(parameters)
    wanted = wanted_image(parameters, config)
    timeout = parameters["wait_timeout"] if parameters["wait"] else None
    with Client(config, reply_timeout=parameters["client_worker_timeout"]) as client:
        if check_mode:
            return images.foresee(client, wanted)
        return images.bring(client, wanted, timeout, progress, progress.listener.quiet(client))


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    for option in ("url", "checksum"):
        module.no_log_values.update(urls.secrets(module.params[option] or ""))
    progress = Progress()
    with errors_as_failure(module, dict):
        places = run(module.params, module.check_mode, progress)
    doubt = images.doubt(places) if module.check_mode else None
    if doubt is not None:
        module.warn(one_line(doubt))
    result = {
        "changed": any(place.changed for place in places),
        "hosts": [images.shown(place) for place in places],
    }
    result = with_diff(module, result, images.diff(places))
    failure = images.failure(places)
    if failure is not None:
        module.fail_json(msg=one_line(str(failure)), code=failure.code, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
