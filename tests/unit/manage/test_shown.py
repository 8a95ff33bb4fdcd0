# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from maglica.manage import shown
from maglica.model.request import Request, Vm
from maglica.model.vm import Domain
from maglica.verbs.clone import CloneSpec

KEY = f"ssh-ed25519 {'A' * 68}"


def test_the_host_keys_of_a_vm_that_is_there_and_of_one_that_was_just_made() -> None:
    domain = Domain("vm0", "u", "kvm0", "running", active=True, ssh_host_keys=(KEY,))
    assert shown.of_domain(domain)["ssh_host_keys"] == [KEY]
    spec = CloneSpec("vm0", "image")
    vm = Vm("vm0", "u", "kvm0", "running", ssh_host_keys=(f"{KEY} root@vm0", "{{ no }}", "no key"))
    assert shown.of_result(vm, Request("r", spec))["ssh_host_keys"] == [KEY]
