# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and attributes that the modules of this collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules extend, by the name maglica.cloud.connection."""

    DOCUMENTATION = r"""
options:
  client_worker_timeout:
    description:
      - How many seconds the client worker may take for an answer before it is asked again.
    type: float
    default: 5.0
  host_timeout:
    description:
      - How many seconds a host may take to say what runs on it, with O(source=libvirt). A host that
        does not answer in this time counts as unreachable.
    type: float
    default: 10.0
  auth_file:
    description:
      - A file with user names and passwords for hosts that ask for them by SASL, in libvirt's own
        form (see U(https://libvirt.org/auth.html#client-configuration)).
    type: path
attributes:
  action_group:
    description: Takes defaults from C(group/maglica.cloud.maglica) in C(module_defaults).
    support: full
    membership: [maglica.cloud.maglica]
notes:
  - The module runs on the machine with the key and the configuration, which is the one with Ansible
    itself in general; run it on C(localhost) or delegate it there.
"""
