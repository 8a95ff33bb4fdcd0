# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the screens and the serial console of a domain are said to be."""

from __future__ import annotations

import pytest
from maglica.cli.text import vm_text
from maglica.domain import definition, seen
from maglica.fleet import shown
from maglica.model.vm import Domain, Graphics, SerialConsole
from support.domains import domain

# As libvirt 9.0 shows one that runs.
VNC = """<graphics type='vnc' port='5900' autoport='yes' listen='127.0.0.1' passwd='secret'>
  <listen type='address' address='127.0.0.1'/></graphics>"""
CONSOLE = """<serial type='pty'><source path='/dev/pts/3'/><target port='0'/></serial>
  <console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/></console>
  <console type='pty'><source path='/dev/pts/4'/><target type='virtio'/></console>"""
BARE = Domain("vm0", "u", "kvm0", "running", active=True)


def described(devices: str, vm: Domain = BARE) -> Domain:
    return seen.described(vm, definition.describe(domain(devices)), {})


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        (VNC, Graphics("vnc", "127.0.0.1", 5900)),
        (
            "<graphics type='spice' port='5901' tlsPort='5902' autoport='no' listen='::1'/>",
            Graphics("spice", "::1", 5901, 5902),
        ),
        (
            "<graphics type='vnc' port='5903'><listen type='network' network='default'"
            " address='192.0.2.1'/></graphics>",
            Graphics("vnc", "192.0.2.1", 5903),
        ),
        (
            "<graphics type='vnc' socket='/run/a.sock'><listen type='socket'/></graphics>",
            Graphics("vnc", socket="/run/a.sock"),
        ),
        (
            "<graphics type='spice'><listen type='socket' socket='/run/b.sock'/></graphics>",
            Graphics("spice", socket="/run/b.sock"),
        ),
        ("<graphics type='spice'><listen type='none'/></graphics>", Graphics("spice")),
        # No port that anybody could connect to.
        *(
            (f"<graphics type='vnc' port='{port}'/>", Graphics("vnc"))
            for port in ("-1", "0", "65536", "٣", "1e3", "9" * 5000)
        ),
    ],
)
def test_where_a_screen_is(xml: str, expected: Graphics) -> None:
    assert described(xml).graphics == (expected,)


def test_a_running_vm_is_shown_with_both_and_without_a_password() -> None:
    vm = described(VNC + CONSOLE)
    assert vm.console == SerialConsole("pty", "/dev/pts/3")
    plain = shown.vm(vm)
    assert plain["graphics"] == [
        {"type": "vnc", "listen": "127.0.0.1", "port": 5900, "tls_port": None, "socket": None}
    ]
    assert plain["console"] == {"type": "pty", "path": "/dev/pts/3"}
    text = vm_text(vm)
    assert "graphics:         vnc 127.0.0.1:5900\n" in text
    assert "console:          pty /dev/pts/3\n" in text
    assert "secret" not in f"{vm}{plain}{text}"


def test_an_address_of_ipv6_is_told_from_its_ports() -> None:
    vm = described("<graphics type='spice' port='5901' tlsPort='5902' listen='::1'/>")
    assert "graphics:         spice [::1]:5901 [::1]:5902 (TLS)\n" in vm_text(vm)


def test_one_that_is_off_has_none() -> None:
    vm = described(VNC + CONSOLE, Domain("vm0", "u", "kvm0", "stopped", active=False))
    assert (vm.graphics, vm.console) == ((), None)
    assert (shown.vm(vm)["graphics"], shown.vm(vm)["console"]) == ([], None)
    assert "graphics" not in vm_text(vm)


def test_one_without_a_console() -> None:
    assert described("").console is None
    assert described("<console type='tcp'/>").console == SerialConsole("tcp")
