# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of the corpus against golden files (--regenerate writes them), and single decisions."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.domain import clone as domain_clone
from maglica.domain import definition as domain_xml
from maglica.domain.clone import DiskSource, clone
from maglica.domain.definition import describe
from maglica.domain.metadata import IMAGE_NAMESPACE, OwnVolume
from maglica.domain.own_paths import own_path
from maglica.model.errors import ImageUnsupported
from maglica.model.request import CloneMode, Nic
from maglica.model.vm import vm_uuid
from support.domains import CORPUS, IMAGES, PLAN, definition, domain, plan

GOLDEN = CORPUS.parent / "golden"
# What is asked for beyond the image's own definition, by image.
ASKED = {
    "plain": {"vcpus": 2, "memory_mib": 512, "interfaces": (Nic(bridge="br0"), Nic(network="lab"))},
    "tuned": {"vcpus": 2, "memory_mib": 6144},
    "nics": {"interfaces": (Nic(network="lab", mac="52:54:00:00:00:01"), Nic(), Nic(bridge="br0"))},
}


def _indented(xml: str) -> str:
    root = domain_xml.parse(xml)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _golden(path: Path, xml: str, regenerate: bool) -> None:
    shown = _indented(xml)
    if regenerate:
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("image", IMAGES)
def test_clone_as_the_image_is(image: str, pytestconfig: pytest.Config) -> None:
    xml = definition(image)
    made = clone(xml, plan(xml))
    _golden(GOLDEN / f"{image}.xml", made, pytestconfig.getoption("--regenerate"))


@pytest.mark.parametrize("image", sorted(ASKED))
def test_clone_with_wishes(image: str, pytestconfig: pytest.Config) -> None:
    xml = definition(image)
    made = clone(xml, plan(xml, **ASKED[image]))
    _golden(GOLDEN / f"{image}.asked.xml", made, pytestconfig.getoption("--regenerate"))


@pytest.mark.parametrize(("said", "has"), [(None, "old"), ("new", "new"), ("", None)])
def test_a_description_is_the_images_unless_another_is_said(
    said: str | None, has: str | None
) -> None:
    xml = definition("plain").replace("</uuid>", "</uuid><description>old</description>", 1)
    assert (describe(clone(xml, plan(xml, description=said))).description or None) == has


DRIVE = (
    "<disk type='file' device='cdrom'><source file='/{}.iso'/><target dev='sdx'/><readonly/></disk>"
)


@pytest.mark.parametrize(
    ("medium", "has"), [(None, "/old.iso"), ({"file": "/new.iso"}, "/new.iso"), ({}, None)]
)
def test_a_medium_is_the_images_unless_another_or_none_is_said(
    medium: dict[str, str] | None, has: str | None
) -> None:
    plain = definition("plain")
    xml = plain.replace("<devices>", "<devices>" + DRIVE.format("old"), 1)
    drives = describe(clone(xml, plan(xml, medium=medium))).disks
    assert [each.source for each in drives if each.device == "cdrom"] == [has]
    # Nothing is put where there is no drive.
    assert clone(plain, plan(plain, medium={})) == clone(plain, plan(plain))


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_that_identifies_the_image_is_left(image: str) -> None:
    xml = definition(image)
    before = describe(xml)
    made = clone(xml, plan(xml, image="other"))
    assert before.uuid not in made.lower()
    for nic in before.interfaces:
        assert nic.mac not in made.lower()
    for disk in before.copied_disks:
        assert f"'{disk.source}'" not in made
        assert f'"{disk.source}"' not in made
    found = describe(made)
    assert (found.name, found.uuid) == (PLAN.name, PLAN.uuid)
    assert [disk.target for disk in found.disks] == [disk.target for disk in before.disks]


@pytest.mark.parametrize("image", IMAGES)
def test_the_same_plan_gives_the_same_clone(image: str) -> None:
    xml = definition(image)
    assert clone(xml, plan(xml)) == clone(xml, plan(xml))


@pytest.mark.parametrize("image", IMAGES)
def test_a_clone_can_be_cloned(image: str) -> None:
    once = clone(definition(image), plan(definition(image)))
    changes = {"request": "r2", "uuid": vm_uuid("r2"), "name": "vm1.example.jp"}
    twice = describe(clone(once, plan(once, **changes)))
    assert twice.name == "vm1.example.jp"
    assert twice.made is not None
    assert twice.made.request == "r2"


def test_metadata_is_ours_and_that_of_others_stays() -> None:
    xml = definition("foreign")
    made = clone(
        xml,
        plan(
            xml, who="a<b&\"c'", clone_mode=CloneMode.FULL, tags=("web", "a"), image_version="3f7a"
        ),
    )
    found = describe(made).made
    assert found is not None
    assert found.tags == ("a", "web")
    assert found.image_version == "3f7a"
    assert (found.image, found.request) == ("foreign.original", PLAN.request)
    assert (found.who, found.clone_mode, found.created) == ("a<b&\"c'", "full", PLAN.created)
    assert made.count("https://maglica.cloud/xmlns/vm/1.0") == 1
    assert '<billing:cost-center id="42">R&amp;D &lt;north&gt;</billing:cost-center>' in made
    assert '<plain xmlns="http://example.com/plain">' in made


def test_a_clone_has_not_what_was_recorded_of_its_image() -> None:
    recorded = f"<x:image xmlns:x='{IMAGE_NAMESPACE}' checksum='sha256:{'0' * 64}'/>"
    xml = definition("foreign").replace("<metadata>", f"<metadata>{recorded}", 1)
    assert describe(xml).image
    assert IMAGE_NAMESPACE not in clone(xml, plan(xml))


def test_what_is_its_own_is_named_in_its_metadata() -> None:
    xml = definition("uefi")
    source = DiskSource("/pool/v", "qcow2", "fast", "v")
    wishes = {"uuid": vm_uuid("r"), "request": "r", "disks": {"vda": source}}
    made = describe(clone(xml, plan(xml, **wishes))).made
    assert made is not None
    assert made.volumes == (OwnVolume("vda", "fast", "v", "/pool/v"),)
    own = f"vm0.example.jp.{vm_uuid('r')[:8]}_VARS.fd"
    assert made.nvram == f"/var/lib/libvirt/qemu/nvram/{own}"


@pytest.mark.parametrize(
    ("written", "read"),
    [("1048576", {"vda": 1 << 20}), ("", {}), ("-1", {}), ("9" * 19, {}), ("1e9", {}), ("x", {})],
)
def test_the_size_that_it_was_made_with(written: str, read: dict[str, int]) -> None:
    """Whoever may edit a definition may write what no size is."""
    xml = definition("uefi")
    source = DiskSource("/pool/v", "qcow2", "fast", "v", 1 << 20)
    wishes = {"uuid": vm_uuid("r"), "request": "r", "disks": {"vda": source}}
    made = describe(clone(xml, plan(xml, **wishes)).replace("1048576", written)).made
    assert made is not None
    assert made.sizes == read
    assert made.volumes == (OwnVolume("vda", "fast", "v", "/pool/v"),)


def test_host_keys_are_named_in_its_metadata() -> None:
    xml = clone(definition("plain"), plan(definition("plain"), uuid=vm_uuid("r"), request="r"))
    key = f"ssh-ed25519 {'A' * 68}"
    strange = (
        "ssh-rsa </x>",
        f"{key}\n@revoked * {key}",
        f"-o {key}",
        f"{key} \x85",
        "",
        "{{ 1 }}",
    )
    lines = [f"{key} root@vm0.example.jp", *strange, *[f"{key[:-1]}{n}" for n in range(9)]]
    made = describe(domain_clone.record_host_keys(xml, lines)).made
    assert made is not None
    # As known_hosts has them; what is none is left out, and of too many the rest.
    assert made.ssh_host_keys == (key, *(f"{key[:-1]}{n}" for n in range(7)))


NASTY = ["</name><devices/>", "<!--", "]]>", "&lt;", "'", '"', "a\nb", "é", "<x xmlns='y'/>"]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("field", ["name", "image", "request", "who"])
def test_no_text_changes_the_structure(field: str, text: str) -> None:
    xml = definition("plain")
    usual = ET.fromstring(clone(xml, plan(xml)))
    nasty = ET.fromstring(clone(xml, plan(xml, **{field: text})))
    assert [element.tag for element in nasty.iter()] == [element.tag for element in usual.iter()]


@pytest.mark.parametrize("text", NASTY)
def test_no_path_or_network_changes_the_structure(text: str) -> None:
    xml = definition("plain")
    wishes = {"disks": {"vda": DiskSource(text)}, "interfaces": (Nic(network=text),)}
    root = ET.fromstring(clone(xml, plan(xml, **wishes)))
    sources = [element for element in root.iter("source") if element.attrib]
    assert [next(iter(source.attrib.values())) for source in sources] == [text, text]


def test_every_copied_disk_must_be_planned() -> None:
    xml = definition("disks")
    with pytest.raises(ImageUnsupported, match="disk vda"):
        clone(xml, plan(xml, disks={}))


OWN_NVRAM = f"/n/{PLAN.name}.{PLAN.uuid[:8]}_VARS"


@pytest.mark.parametrize(
    ("boot", "expected"),
    [
        ("<os><nvram>/n/image_VARS.fd</nvram></os>", f"{OWN_NVRAM}.fd"),
        ("<os><nvram format='qcow2'>/n/image_VARS.qcow2</nvram></os>", f"{OWN_NVRAM}.qcow2"),
        ("<os><nvram type='file'><source file='/n/a'/></nvram></os>", f"{OWN_NVRAM}.fd"),
        ("<os firmware='efi'/>", f"{OWN_NVRAM}.fd"),
        ("<os firmware='efi'><nvram format='qcow2'/></os>", f"{OWN_NVRAM}.qcow2"),
        ("<os firmware='bios'/>", None),
    ],
)
def test_uefi_variables_are_the_clone_s_own(boot: str, expected: str | None) -> None:
    xml = domain(outside=boot)
    hidden = "/n/image_VARS.fd" if domain_xml.hides_nvram(domain_xml.parse(xml)) else None
    made = describe(clone(xml, plan(xml, image_nvram=hidden)))
    assert made.nvram == expected
    assert made.made is not None
    assert made.made.nvram == expected


def test_what_hides_its_uefi_variables() -> None:
    def hides(boot: str) -> bool:
        return domain_xml.hides_nvram(domain_xml.parse(domain(outside=boot)))

    assert hides("<os firmware='efi'><loader secure='yes'/></os>")
    assert not hides("<os firmware='efi'><nvram>/n/a.fd</nvram></os>")
    assert not hides("<os firmware='bios'/>")
    assert not hides("<os><loader readonly='yes' type='pflash'>/fw.fd</loader></os>")


def test_passt_logs_to_a_file_of_the_clone_s_own_and_forgets_the_image_s_name() -> None:
    backend = "<backend type='passt' logFile='/var/log/passt.log' hostname='image' fqdn='image.x'/>"
    made = clone(domain(f"<interface type='user'>{backend}</interface>"), PLAN)
    assert (
        f'<backend type="passt" logFile="/var/log/passt-vm0.example.jp.{PLAN.uuid[:8]}.log" />'
        in made
    )


def test_no_name_leads_to_a_file_of_others() -> None:
    """QEMU empties a log file, and libvirt unlinks what is in a socket's place."""
    devices = (
        "<serial type='file'><source path='/var/log/{name}.log'/></serial>"
        "<console type='unix'><source mode='bind' path='/var/log/{name}'/></console>"
    )
    image = domain(devices.format(name="small.original"))
    made = clone(image, replace(PLAN, name="auth"))
    assert "/var/log/auth.log" not in made
    assert '"/var/log/auth"' not in made
    assert f"/var/log/auth.{PLAN.uuid[:8]}.log" in made


def test_a_socket_path_that_gets_too_long_is_refused() -> None:
    path = "/run/" + "x" * 95
    serial = f"<serial type='unix'><source mode='bind' path='{path}'/></serial>"
    with pytest.raises(ImageUnsupported, match="socket path"):
        clone(domain(serial), PLAN)


def test_displays_listen_on_sockets_of_their_own() -> None:
    graphics = (
        "<graphics type='vnc' socket='/run/old'><listen type='socket' socket='/run/old'/>"
        "</graphics>"
    )
    assert "/run/old" not in clone(domain(graphics), PLAN)


def test_passwords_of_displays_stay() -> None:
    xml = definition("graphics")
    assert 'passwd="secret"' in clone(xml, plan(xml))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/run/a.sock", "/run/a-new.sock"),
        ("/run/old.sock", "/run/new.sock"),
        ("/run/x-old-y", "/run/x-new-y"),
        ("/run/old/a", "/run/old/a-new"),
        ("/a", "/a-new"),
        ("a", "a-new"),
        # Whatever is beside it takes all that is written, in the host's memory.
        ("/dev/null", "/dev/null"),
    ],
)
def test_own_path(path: str, expected: str) -> None:
    assert own_path(path, "old", "new") == expected
