#!/usr/bin/python
# SPDX-FileCopyrightText: Maglica contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maglica_pool
short_description: Have a host have a storage pool
version_added: 0.1.0
description:
  - Defines a storage pool of libvirt's where there is none of its name, makes its folder where that
    is lacking, and starts it.
  - A pool that is there is started, and not changed otherwise. Where it differs in an option that
    is given, the task fails and says in what.
  - Nothing is ever formatted.
author:
  - Maglica contributors (!UNKNOWN)
extends_documentation_fragment:
  - maglica.cloud.hosting
options:
  name:
    description: The name of the pool.
    type: str
    required: true
  type:
    description:
      - V(dir), a folder; V(fs), a file system that libvirt mounts there when the pool starts.
      - V(fs) where O(source) is given, and V(dir) otherwise, of a pool that is made.
    type: str
    choices: [dir, fs]
  path:
    description:
      - The folder. The default is C(/var/lib/libvirt/images) of a pool that is made; where another
        pool has that, none is made.
      - A folder of another pool is refused.
    type: path
  source:
    description: The device that has the file system, for O(type=fs).
    type: path
  mode:
    description:
      - Mode of the folder, in octal digits such as V('0711'), which is libvirt's own of a folder
        that it makes. For O(type=dir). Give it in quotes.
      - A folder that is there is not changed; it must have this mode.
    type: raw
  owner:
    description: Name or number of the owner of the folder, as O(mode).
    type: str
  group:
    description: Name or number of the group of the folder, as O(mode).
    type: str
seealso:
  - module: maglica.cloud.maglica_network
"""

EXAMPLES = r"""
- name: Have a host have libvirt's usual pool
  maglica.cloud.maglica_pool:
    name: default

- name: Keep vms' disks on a file system of their own
  maglica.cloud.maglica_pool:
    name: fast
    type: fs
    source: /dev/disk/by-label/fast
    path: /srv/fast
"""

RETURN = r"""
name:
  description: Its name.
  returned: success
  type: str
  sample: fast
uuid:
  description:
    - Its UUID. Empty where none is made since another pool has C(/var/lib/libvirt/images).
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
  sample: "<pool type='dir'> … </pool>"
msg:
  description: Why none is made, or it does not run.
  returned: when another pool has C(/var/lib/libvirt/images), or by O(optional=true)
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.maglica.cloud.plugins.module_utils._hosting import hosting_spec, settle
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.hosting import pools


def argument_spec() -> dict[str, dict[str, Any]]:
    return {
        **hosting_spec(),
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "choices": ["dir", "fs"]},
        "path": {"type": "path"},
        "source": {"type": "path"},
        "mode": {"type": "raw"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
    }


def wanted(parameters: Mapping[str, Any]) -> pools.PoolDefinition:
    keys = ("name", "type", "path", "source", "owner", "group")
    mode = parameters["mode"]
    return pools.PoolDefinition(
        **{key: parameters[key] for key in keys},
        # YAML reads octal digits without quotes as a number.
        mode=f"{mode:o}" if isinstance(mode, int) else mode,
    )


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    settle(module, wanted, pools.plan, pools.apply)


if __name__ == "__main__":
    main()
