# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas on a disk in memory: how they are filled and found, and what clones write into them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from maglica.guest.areas.plan import SECTOR, Hit, fill, filler, located, patches, usable
from maglica.guest.base_plan import clean, lay_out
from maglica.guest.clone_plan import AUTHORIZED_KEYS, HOSTNAME, MACHINE_ID, plan
from maglica.guest.edits import Edit, SetPassword, SetUser, Write, apply
from maglica.guest.facts import Area, Extent, GuestFacts, Inode, Mount
from maglica.guest.identity import HostKey, Identity, NicIdentity
from maglica.guest.inspect import OperatingSystem, examine
from maglica.model.request import User
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

START = "0123456789abcdef"
SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True, is_plain=True)
NAME = "a" * 60 + ".jp"
KEY_BYTES = {"ed25519": 760, "ecdsa": 860, "rsa": 2700}


def base() -> tuple[FakeFilesystem, GuestFacts]:
    """Return a guest whose areas are laid out, and what is known of it then."""
    guest = FakeFilesystem(debian.FILES)
    findings = examine(guest, SYSTEM)
    edits, facts = lay_out(findings, START)
    apply((*clean(findings), *edits), guest)
    return guest, facts


def hits(guest: FakeFilesystem) -> Iterator[Hit]:
    """Yield the fill's sectors on a disk where each file has 8 KiB, in any order."""
    for number, (_path, node) in enumerate(sorted(guest.nodes.items())):
        for offset in range(0, len(node.content), SECTOR):
            sector = node.content[offset : offset + SECTOR]
            if sector.startswith(START.encode()):
                place = number * 8192 + offset
                yield Hit(0, place, place + 65536, sector.ljust(SECTOR, b"\0"))


def sized(areas: tuple[Area, ...]) -> tuple[Area, ...]:
    """Return the areas with inodes, on a disk of their own."""
    return tuple(
        replace(area, inode=Inode("ext", bytes(128).hex(), 0, None, Extent(1, at * 128, 128, 0)))
        for at, area in enumerate(areas)
    )


def identity(**changes: object) -> Identity:
    keys = tuple(
        HostKey(kind, b"k" * KEY_BYTES[kind] + b"\n", f"ssh-{kind} {'A' * 250}")
        for kind in ("ecdsa", "ed25519")
    )
    nics = (NicIdentity("52:54:00:00:00:01"), NicIdentity("52:54:00:00:00:02"))
    whole = Identity(NAME, "0" * 32, nics, keys, bytes(512))
    return replace(whole, **changes)


def test_every_file_of_a_clone_is_found_and_written() -> None:
    guest, facts = base()
    found = replace(facts, areas=sized(located(facts, hits(guest))))
    edits = plan(found, identity())
    made = patches(found, edits)
    assert isinstance(made, tuple)
    disk = bytearray(8192 * len(guest.nodes))
    for patch in made:
        if patch.drive:
            continue
        disk[patch.offset : patch.offset + len(patch.content)] = patch.content
    files = {edit.path: edit.content for edit in edits if isinstance(edit, Write)}
    assert {area.path for area in found.areas} == set(files) == set(facts.laid_out)
    for number, path in enumerate(sorted(guest.nodes)):
        if path in files:
            written = bytes(disk[number * 8192 : number * 8192 + len(guest.nodes[path].content)])
            assert written.rstrip(b"\0") == files[path].rstrip(b"\0")
            assert len(written) == len(guest.nodes[path].content)


def test_one_file_is_one_extent_where_it_lies_together() -> None:
    guest, facts = base()
    for area in located(facts, hits(guest)):
        assert [extent.length for extent in area.extents] == [area.size]


def test_a_file_in_pieces_is_written_in_pieces() -> None:
    area = Area("/etc/hosts", 3 * SECTOR)
    facts = replace(base()[1], areas=(area,))
    content = fill(START, area)
    places = (9000 * SECTOR, 20 * SECTOR, 21 * SECTOR)
    sectors = [
        Hit(number % 2, place, place, content[number * SECTOR :][:SECTOR])
        for number, place in enumerate(places)
    ]
    (found,) = located(facts, sectors)
    assert found.extents == tuple(
        Extent(number % 2, place, SECTOR, place) for number, place in enumerate(places)
    )
    text = b"x" * 600 + b"y" * 600 + b"\n"
    made = patches(replace(facts, areas=(found,)), (Write("/etc/hosts", text),))
    whole = b"".join(patch.content for patch in made)
    assert whole == text + filler(3 * SECTOR - len(text))
    assert [(patch.drive, patch.offset) for patch in made] == list(zip((0, 1, 0), places))


def test_no_two_sectors_are_the_same() -> None:
    guest, _facts = base()
    found = list(hits(guest))
    assert len({hit.content[:32] for hit in found}) == len(found) > 20


@pytest.mark.parametrize("change", ["missing", "twice", "changed"])
def test_one_doubtful_sector_is_enough_to_have_no_areas(change: str) -> None:
    guest, facts = base()
    found = list(hits(guest))
    if change == "missing":
        found.pop()
    elif change == "twice":
        found.append(replace(found[-1], offset=found[-1].offset + 1 << 20))
    else:
        found[-1] = replace(found[-1], content=found[-1].content[:40] + bytes(SECTOR - 40))
    assert located(facts, found) == ()


def with_areas() -> GuestFacts:
    guest, facts = base()
    return replace(facts, areas=sized(located(facts, hits(guest))))


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (SetPassword("root", "$6$x", 1), "not all of it has an area"),
        (SetUser(User("alice"), 1), "not all of it has an area"),
        (Write("/etc/other", b""), "not all of it has an area"),
        (Write("/etc/hosts", b"x" * 5000 + b"\n"), "/etc/hosts does not fit its area of"),
        (Write(MACHINE_ID, b"0" * 33 + b"\n"), "/etc/machine-id does not fit"),
        (Write("/var/lib/systemd/random-seed", b"l" * 513), "random-seed does not fit"),
    ],
)
def test_what_does_not_fit_needs_an_appliance(extra: Edit, problem: str) -> None:
    facts = with_areas()
    edits = [edit for edit in plan(facts, identity()) if getattr(extra, "path", "") != edit.path]
    found = patches(facts, (*edits, extra))
    assert isinstance(found, str)
    assert problem in found


def test_an_area_that_would_keep_its_fill_needs_an_appliance() -> None:
    facts = with_areas()
    assert patches(facts, plan(facts, identity())[1:]) == "an area would keep its fill"


def test_without_areas_an_appliance_is_needed() -> None:
    assert patches(replace(with_areas(), areas=()), ()) == "the base has no areas"


def test_authorized_keys_of_the_image_are_written_to_every_clone() -> None:
    facts = with_areas()
    kept = debian.FILES["root/.ssh/authorized_keys"].encode()
    (without,) = (edit for edit in plan(facts, identity()) if edit.path == AUTHORIZED_KEYS)
    assert without.content == kept
    more = plan(facts, identity(authorized_keys=("ssh-ed25519 BBBB x",)))
    (with_more,) = (edit for edit in more if edit.path == AUTHORIZED_KEYS)
    assert with_more.content == kept + b"ssh-ed25519 BBBB x\n"


def test_facts_with_areas_survive_json() -> None:
    facts = with_areas()
    assert GuestFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_facts_from_before_there_were_areas() -> None:
    old = with_areas().to_json()
    for key in ("areas", "fill", "resolv_conf"):
        del old[key]
    assert GuestFacts.from_json(old).areas == ()


@pytest.mark.parametrize("room", [0, 1, 2, 30, 74, 75, 500])
def test_the_rest_of_a_file_is_one_line(room: int) -> None:
    line = filler(room)
    assert len(line) == room
    assert line.count(b"\n") == min(room, 1)
    assert not line.strip() or line.startswith(b"#")


def test_without_sizes_a_file_ends_with_a_comment() -> None:
    guest, facts = base()
    found = replace(facts, areas=located(facts, hits(guest)))
    areas = [area for area in found.areas if area.path != HOSTNAME]
    edits = [edit for edit in plan(found, identity()) if edit.path != HOSTNAME]
    made = patches(replace(found, areas=tuple(areas)), edits)
    assert isinstance(made, tuple)
    for area, patch in zip(areas, made):
        (edit,) = (edit for edit in edits if edit.path == area.path)
        assert patch.content == edit.content + filler(area.size - len(edit.content))


def test_a_host_name_has_its_exact_size_or_the_base_no_areas() -> None:
    """Its file is read as a whole by some, so that a comment would become part of the name."""
    areas = with_areas().areas
    assert usable(areas) == areas
    assert usable(tuple(replace(area, inode=None) for area in areas)) == ()


def test_areas_take_one_block_if_they_can() -> None:
    sizes = {area.path: area.size for area in with_areas().areas}
    assert max(sizes.values()) <= 4096
    long = "ssh-rsa " + "A" * 4000 + "\n"
    guest = FakeFilesystem({**debian.FILES, "root/.ssh/authorized_keys": long})
    _edits, facts = lay_out(examine(guest, SYSTEM), START)
    assert [area.size for area in facts.areas if area.path == AUTHORIZED_KEYS] == [8192]
