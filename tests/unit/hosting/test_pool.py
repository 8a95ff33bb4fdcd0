# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of storage pools: written, read, compared, refused."""

from __future__ import annotations

import pytest
from maglica.hosting import pool
from maglica.hosting.pool import PoolDefinition
from maglica.model.errors import ConfigInvalid

FAST = PoolDefinition("fast", "fs", "/srv/fast", "/dev/vdb1")
OWN = PoolDefinition("own", "dir", "/srv/own", mode="750", owner=0, group=109)
# As libvirt 9.0 shows a pool that runs.
SHOWN = """\
<pool type='dir'>
  <name>own</name>
  <uuid>0f6f9b0c-55a3-4d1e-9f6e-1a7c9b0c55a3</uuid>
  <capacity unit='bytes'>1000</capacity>
  <source>
  </source>
  <target>
    <path>/srv/own</path>
    <permissions><mode>0750</mode><owner>0</owner><group>109</group></permissions>
  </target>
</pool>
"""


@pytest.mark.parametrize("made", [FAST, OWN, pool.complete(PoolDefinition("default"))])
def test_what_is_written_is_read_again(made: PoolDefinition) -> None:
    assert pool.read(pool.xml(made)) == made


def test_what_is_not_said_is_libvirt_s_usual() -> None:
    made = pool.complete(PoolDefinition("default"))
    assert (made.type, made.path) == ("dir", "/var/lib/libvirt/images")
    assert pool.complete(PoolDefinition("a", path="/b/", source="/dev/c")).type == "fs"


@pytest.mark.parametrize(
    ("wanted", "differences"),
    [
        (PoolDefinition("own"), []),
        (PoolDefinition("own", path="/srv//own/", mode="0750"), []),
        (OWN, []),
        (PoolDefinition("own", path="/srv/other"), ["path is /srv/own, not /srv/other"]),
        (
            PoolDefinition("own", "fs", source="/dev/vdb1", mode="711"),
            ["type is dir, not fs", "source is none, not /dev/vdb1", "mode is 0750, not 0711"],
        ),
    ],
)
def test_what_is_not_said_is_not_compared(wanted: PoolDefinition, differences: list[str]) -> None:
    assert pool.differences(wanted, pool.read(SHOWN)) == differences


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("name", {"name": "../a"}),
        ("name", {"name": "-a"}),
        ("path", {"path": "srv"}),
        ("source", {"type": "fs"}),
        ("source", {"source": "vdb"}),
        ("source", {"type": "dir", "source": "/dev/vdb"}),
        ("mode", {"type": "fs", "source": "/dev/vdb", "mode": "0711"}),
        ("mode", {"mode": "rwx"}),
        ("mode", {"mode": "100000"}),
    ],
)
def test_a_pool_that_can_t_be_is_refused(option: str, said: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match=f"^{option}: "):
        pool.check(PoolDefinition(**{"name": "a", **said}))  # type: ignore[arg-type]


def test_a_pool_of_maglica_s_is_known_again_until_it_is_changed() -> None:
    made = pool.complete(PoolDefinition("a"))
    assert made.uuid == pool.read(pool.xml(made)).uuid
    assert len({made.uuid, FAST.uuid, pool.complete(PoolDefinition("a", path="/b")).uuid}) == 3
