# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts' root is what a user's host is."""

from __future__ import annotations

import re

from testbed import roots


def test_qemu_runs_as_debian_sets_it_up_but_for_what_a_container_lacks() -> None:
    script = roots.host_recipe().hook.read_text()
    (written,) = re.findall(r"/etc/libvirt/qemu\.conf\" << 'EOF'\n(.*?)EOF\n", script, re.DOTALL)
    names = [line.partition("=")[0].strip() for line in written.splitlines()]
    assert names == ["cgroup_controllers", "security_driver", "namespaces"]


def test_what_the_roles_install_is_there_beforehand() -> None:
    packages = set(roots.host_recipe().packages)
    assert packages >= roots.role_packages() >= {"libvirt-daemon-system", "python3-guestfs"}
