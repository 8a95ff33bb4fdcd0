# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from maglica.domain import definition as domain_xml
from maglica.domain.definition import DefinedDisk, describe
from maglica.domain.metadata import Made
from maglica.model.errors import ImageUnsupported
from maglica.model.vm import vm_uuid
from support.domains import IMAGES, definition, domain

BILLION_LAUGHS = """<!DOCTYPE domain [
  <!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">
]><domain><name>&c;</name></domain>"""
EXTERNAL = """<!DOCTYPE domain [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<domain><name>&x;</name></domain>"""


@pytest.mark.parametrize("image", IMAGES)
def test_the_corpus_is_read(image: str) -> None:
    found = describe(definition(image))
    assert found.name == {"plain": "debian12.original"}.get(image, f"{image}.original")
    assert found.memory_mib in (1024, 2048)
    assert [disk for disk in found.disks if disk.target] == list(found.disks)
    assert found.interfaces


def test_every_field() -> None:
    found = describe(definition("plain"))
    assert found.uuid == "11111111-2222-4333-8444-000000000001"
    assert (found.kind, found.vcpus, found.memory_mib) == ("kvm", 1, 1024)
    assert found.title == "Debian 12, the original"
    assert found.made is None
    assert found.nvram is None
    assert [(nic.mac, nic.network) for nic in found.interfaces] == [
        ("52:54:00:aa:00:01", "default")
    ]
    assert found.disks == (
        DefinedDisk(
            target="vda",
            device="disk",
            kind="file",
            source="/var/lib/libvirt/images/debian12.original.qcow2",
            format="qcow2",
            read_only=False,
            shared=False,
            bus="virtio",
            discard="unmap",
        ),
    )


def test_uuid_and_mac_are_in_lower_case() -> None:
    found = describe(definition("running"))
    assert found.uuid.endswith("a")
    assert found.interfaces[0].mac == "52:54:00:aa:00:0d"


def test_whose_addresses_mean_nothing_outside() -> None:
    mac = "52:54:00:aa:00:01"
    xml = definition("plain")
    assert f'<mac address="{mac}"' in xml.replace("'", '"')
    assert describe(xml).private_macs == frozenset()
    kind = re.compile(r"""<interface type=["']network["']>""")
    for other, backend, expected in (
        ("user", "", {mac}),
        ("user", "<backend type='passt'/>", {mac}),
        ("vhostuser", "<backend type='passt'/>", {mac}),
        ("vhostuser", "", set()),
        ("ethernet", "<backend tap='/dev/net/tun'/>", set()),
    ):
        changed, count = kind.subn(f"<interface type='{other}'>{backend}", xml)
        assert count == 1
        assert describe(changed).private_macs == expected


def test_which_disks_are_copied() -> None:
    found = describe(definition("disks"))
    assert [disk.target for disk in found.copied_disks] == ["vda", "sda", "sdb", "fda"]
    shared = [disk.target for disk in found.disks if disk.shared]
    assert shared == ["sdc", "vdb", "hda", "hdb"]


def test_sources_of_every_kind() -> None:
    found = describe(definition("volumes"))
    assert [(disk.kind, disk.source) for disk in found.disks] == [
        ("volume", "default/volumes.original.qcow2"),
        ("block", "/dev/vg0/volumes.original"),
        ("network", "rbd:vms/tools"),
    ]
    assert (found.disks[0].pool, found.disks[0].volume) == ("default", "volumes.original.qcow2")
    assert found.memory_mib == 1024


def test_formats_are_raw_unless_stated() -> None:
    assert [disk.format for disk in describe(definition("disks")).disks][:2] == ["qcow2", "raw"]


def test_nvram_in_both_forms() -> None:
    assert describe(definition("uefi")).nvram == "/var/lib/libvirt/qemu/nvram/uefi.original_VARS.fd"
    new = "<os><nvram type='file' format='raw'><source file='/nvram/x.fd'/></nvram></os>"
    assert describe(domain(outside=new)).nvram == "/nvram/x.fd"
    assert describe(domain(outside="<os><nvram template='/t'/></os>")).nvram is None


def test_transient_disk_that_shares_its_backing_is_shared() -> None:
    disk = (
        "<disk type='file'><source file='/a'/><target dev='vda'/>"
        "<transient shareBacking='yes'/></disk>"
    )
    assert describe(domain(disk)).disks[0].shared


def test_what_maglica_made() -> None:
    xml = definition("foreign")
    # The image has it from a vm, of which it is a copy that others made.
    assert describe(xml).made is None
    own = vm_uuid("00000000-0000-4000-8000-00000000000f")
    assert describe(xml.replace("11111111-2222-4333-8444-000000000009", own)).made == Made(
        image="older.original",
        request="00000000-0000-4000-8000-00000000000f",
        created=1,
        who="someone",
        clone_mode="full",
    )


@pytest.mark.parametrize(
    "metadata",
    [
        "<vm xmlns='https://maglica.cloud/xmlns/vm/2.0'/>",
        "<vm/>",
        "<maglica:vm xmlns:maglica='http://example.com/'/>",
        "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0/other'/>",
    ],
)
def test_metadata_of_others_is_not_ours(metadata: str) -> None:
    assert describe(domain(outside=f"<metadata>{metadata}</metadata>")).made is None


@pytest.mark.parametrize(
    "metadata",
    [
        "<vm xmlns='https://maglica.cloud/xmlns/vm/1.0' image='i' created='x'/>",
        "<q:vm xmlns:q='https://maglica.cloud/xmlns/vm/1.0' image='i'/>",
    ],
)
def test_our_metadata_by_its_name_space(metadata: str) -> None:
    made = describe(domain(outside=f"<metadata>{metadata}</metadata>", uuid=vm_uuid(""))).made
    assert made == Made("i", "", None, "", "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1795500000", 1795500000),
        ("7258118399", 7258118399),
        ("7258118400", None),
        ("99999999999", None),
        ("9" * 5000, None),
        ("\N{SUPERSCRIPT TWO}", None),
        ("-1", None),
        ("0", None),
    ],
)
def test_when_a_vm_was_created_is_a_time(written: str, read: int | None) -> None:
    metadata = f"<m:vm xmlns:m='https://maglica.cloud/xmlns/vm/1.0' created='{written}'/>"
    xml = domain(outside=f"<metadata>{metadata}</metadata>", uuid=vm_uuid(""))
    made = describe(xml).made
    assert made is not None
    assert made.created == read


RECORDED = "<m:image xmlns:m='https://maglica.cloud/xmlns/image/1.0' checksum='{}'/>"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (f"sha256:{'0a' * 32}", f"sha256:{'0a' * 32}"),
        (f"sha3-512:{'f' * 128}", f"sha3-512:{'f' * 128}"),
        ("0a" * 32, None),
        (f"sha256:{'0A' * 32}", None),
        (f"sha256:{'0a' * 32} ", None),
        ("sha256:{{ x }}", None),
        ("", None),
    ],
)
def test_the_checksum_that_was_recorded_of_an_image(written: str, read: str | None) -> None:
    metadata = f"<metadata>{RECORDED.format(written)}</metadata>"
    image = describe(domain(outside=metadata)).image
    assert image is not None
    assert (image.made, image.newest.checksum) == (False, read)


def test_tags_are_sorted_and_each_is_there_once() -> None:
    tags = "".join(f"<m:tag name='{name}'/>" for name in ("web", "a", "web")) + "<m:tag/>"
    metadata = f"<m:vm xmlns:m='https://maglica.cloud/xmlns/vm/1.0' request='r'>{tags}</m:vm>"
    xml = domain(outside=f"<metadata>{metadata}</metadata>", uuid=vm_uuid("r"))
    made = describe(xml).made
    assert made is not None
    assert made.tags == ("a", "web")


@pytest.mark.parametrize(
    ("unit", "mib"),
    [("KiB", 1), ("k", 1), ("MiB", 1024), ("M", 1024), ("G", 1 << 20), ("b", 0), ("MB", 976)],
)
def test_units_of_memory(unit: str, mib: int) -> None:
    xml = domain().replace("<memory>1048576", f"<memory unit='{unit}'>1024")
    assert describe(xml).memory_mib == mib


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        (BILLION_LAUGHS, "document type"),
        (EXTERNAL, "document type"),
        ("<!DOCTYPE domain><domain/>", "document type"),
        ("", "not XML"),
        ("<domain>", "not XML"),
        ("<domain/><domain/>", "not XML"),
        ("<domain>&unknown;</domain>", "not XML"),
        ("<domain><name>\x00</name></domain>", "not XML"),
        ("<network><name>x</name></network>", "'network'"),
        ("<domain><name/></domain>", "no <name>"),
        ("<domain><name>x</name></domain>", "no <uuid>"),
        (domain().replace("1048576", "lots"), "not a number"),
        (domain().replace("1048576", "-1"), "not a number"),
        (domain().replace("1048576", "9" * 19), "not a number"),
        (domain("<a>" * 300 + "</a>" * 300), "nested"),
        (domain(" " * domain_xml.MAX_SIZE), "longer"),
    ],
    ids=lambda value: value[:20],
)
def test_hostile_and_broken_definitions_are_refused(xml: str, why: str) -> None:
    with pytest.raises(ImageUnsupported, match=why):
        describe(xml)


def test_deep_nesting_up_to_the_limit_is_fine() -> None:
    depth = domain_xml.MAX_DEPTH - 3
    assert describe(domain("<a>" * depth + "</a>" * depth)).name == describe(domain()).name
