# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and attributes of the modules that run on a host and have it have a pool or a network."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules extend, by the name maglica.cloud.hosting."""

    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(present), it is there and runs.
    type: str
    choices: [present]
    default: present
  autostart:
    description: Whether it starts with the host.
    type: bool
    default: true
  optional:
    description:
      - Whether the host may do without it. V(true) leaves one that is there, and that Maglica has
        not made, as it is, also where it does not run; and where none can be made or started, the
        task says why, as a warning, and does not fail.
    type: bool
    default: false
  uri:
    description: The host's own libvirtd.
    type: str
    default: qemu:///system
attributes:
  check_mode:
    description: Can run in check mode and tell what would change without changing it.
    support: full
    details:
      - Where libvirt is not installed or does not run yet, warns, and tells what it would make on
        such a host.
  diff_mode:
    description: Will return details on what has changed, or would change in check mode.
    support: full
    details:
      - The definition (libvirt's XML), whether it runs, and whether it starts with the host.
requirements:
  - libvirt-python on the host (for Debian, the package C(python3-libvirt))
notes:
  - Runs on the host itself, as root, unlike the modules of the action group
    C(maglica.cloud.maglica).
"""
