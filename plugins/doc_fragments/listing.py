# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and attributes that the info modules of this collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules extend, by the name maglica.cloud.listing."""

    DOCUMENTATION = r"""
options:
  config:
    description:
      - The configuration file, which says which hosts there are.
      - When this is not given, the variable C(maglica_config) of the inventory host is used, which
        the inventory plugin P(maglica.cloud.maglica#inventory) sets; then the environment variable
        E(MAGLICA_CONFIG); then V(/etc/maglica/maglica.conf).
    type: path
  host:
    description:
      - The names of the hosts to ask; all when this is empty.
    type: list
    elements: str
    default: []
  host_timeout:
    description:
      - How many seconds a host may take for all its answers together.
    type: float
    default: 10.0
  parallel:
    description:
      - How many hosts are asked at the same time; V(0) means all. With fewer than all, each round
        may take O(host_timeout).
    type: int
    default: 0
  auth_file:
    description:
      - A file with user names and passwords for hosts that ask for them by SASL, in libvirt's own
        form (see U(https://libvirt.org/auth.html#client-configuration)).
    type: path
  on_host_error:
    description:
      - What happens when a host does not answer. V(warn) names it in a warning and in
        RV(unreachable_hosts), V(fail) makes the module fail.
    type: str
    choices:
      - warn
      - fail
    default: warn
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - The module never changes anything.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: none
  action:
    description: Has an action plugin, so that some of it runs on the controller.
    support: full
    details:
      - Only the variable C(maglica_config) is looked up there.
requirements:
  - libvirt-python
notes:
  - The module runs on the machine with the configuration, which is the one with Ansible itself in
    general; run it on C(localhost) or delegate it there.
seealso:
  - plugin: maglica.cloud.maglica
    plugin_type: inventory
"""
