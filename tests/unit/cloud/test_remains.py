# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes belong to a test cloud. A mistake here ends somebody else's process."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed import remains
from testbed.layout import layout

CLOUD = layout(Path("/srv/checkout"), 2)
HOSTS = "/srv/checkout/build/cloud/hosts"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["systemd-nspawn", "--boot", f"--directory={HOSTS}/kvm0.example.jp/root"], True),
        (["sh", "-c", "x", "sh", "systemd-nspawn", f"--directory={HOSTS}/kvm0/root"], True),
        (["systemd-nspawn", "--directory=/srv/checkout2/build/cloud/hosts/kvm0/root"], False),
        (["systemd-nspawn", "--directory=/srv/other/root"], False),
        (["vi", f"--directory={HOSTS}/kvm0/root"], False),
        (["grep", f"{HOSTS}/kvm0/root"], False),
        ([], False),
    ],
)
def test_managers_are_told_by_their_arguments(words: list[str], expected: bool) -> None:
    assert remains.is_manager(CLOUD, "\0".join([*words, ""])) is expected


def _mountinfo(point: str, checkout: str) -> str:
    layer = f"{checkout}/build/cloud/hosts/kvm0.example.jp"
    return (
        "21 1 0:20 / /proc rw - proc proc rw\n"
        f"22 1 0:40 / {point} rw,relatime shared:5 - overlay overlay "
        f"rw,lowerdir=/x,upperdir={layer}/upper,workdir={layer}/work\n"
    )


@pytest.mark.parametrize(
    ("mountinfo", "expected"),
    [
        (_mountinfo("/", "/srv/checkout"), True),
        # This machine's own processes see the hosts' roots too, but not as their root.
        (_mountinfo(f"{HOSTS}/kvm0.example.jp/root", "/srv/checkout"), False),
        (_mountinfo("/", "/srv/checkout2"), False),
        ("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", False),
        ("", False),
    ],
)
def test_what_runs_in_a_host_is_told_by_its_root(mountinfo: str, expected: bool) -> None:
    assert remains.is_inside(CLOUD, mountinfo) is expected
