# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of what a user says of an image."""

from __future__ import annotations

from typing import Any

import pytest
from maglica.image import catalog, checksum
from maglica.image.catalog import Entry
from maglica.manage.image_wanted import ImageState, want
from maglica.model.errors import ImageUnknown, ImageUnsupported, NameInvalid
from maglica.model.image import Firmware
from maglica.model.request import Nic
from maglica.verbs.add_image import AddImageSpec

SHA256 = f"sha256:{'0a' * 32}"
URL = "https://example.com/golden.qcow2"
DOMAIN = "<domain><memory>65536</memory><os><type arch='x86_64'>hvm</type></os><devices/></domain>"
GOLDEN = Entry("golden", URL, checksum.parse(SHA256), Firmware.UEFI, format="qcow2")


def asked(name: str = "golden", **new: Any) -> AddImageSpec:
    return want(name, hosts=("a",), **new).on("a")


def test_all_that_can_be_said() -> None:
    said = {
        "url": URL,
        "checksum": SHA256,
        "format": "raw",
        "vcpus": 4,
        "memory_mib": 4096,
        "interfaces": [{"network": "default", "bridge": None}, {"network": None, "bridge": "br0"}],
        "firmware": "uefi",
        "secure_boot": True,
        "pool": "fast",
    }
    assert asked(**said) == AddImageSpec(
        "golden",
        "a",
        url=URL,
        checksum=SHA256,
        format="raw",
        vcpus=4,
        memory_mib=4096,
        interfaces=(Nic("default"), Nic(bridge="br0")),
        firmware=Firmware.UEFI,
        secure_boot=True,
        pool="fast",
    )


def test_what_is_none_was_not_said() -> None:
    path = "/srv/golden.raw"
    nothing = dict.fromkeys(("url", "checksum", "vcpus", "firmware", "xml", "secure_boot"))
    assert asked(path=path, **nothing) == AddImageSpec("golden", "a", path=path)


@pytest.mark.parametrize("entry", catalog.CATALOG, ids=lambda entry: entry.name)
def test_each_image_of_the_catalog_needs_only_its_name(entry: Entry) -> None:
    spec = asked(entry.name)
    assert (spec.url, spec.firmware) == (entry.url, entry.firmware)
    assert spec.origin == entry.origin()


def test_an_entry_of_ones_own_and_what_counts_more() -> None:
    assert asked(own=(GOLDEN,)) == AddImageSpec(
        "golden", "a", URL, checksum=SHA256, format="qcow2", firmware=Firmware.UEFI
    )
    pinned = f"sha256:{'0b' * 32}"
    other = asked(own=(GOLDEN,), checksum=pinned, firmware="bios")
    assert (other.url, other.checksum, other.firmware) == (URL, pinned, Firmware.BIOS)
    # What comes from elsewhere has nothing to do with the catalog.
    assert asked(own=(GOLDEN,), path="/a.raw") == AddImageSpec("golden", "a", path="/a.raw")


def test_a_name_that_the_catalog_has_not() -> None:
    with pytest.raises(ImageUnknown) as error:
        asked("debian-31", own=(GOLDEN,), vcpus=2)
    assert str(error.value).startswith(
        "cannot add image debian-31: neither url nor path is given, and the catalog has no image"
        " debian-31: it has almalinux-10, "
    )
    assert str(error.value).endswith("the state prepared makes the base")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"url": URL}, f"{URL} needs a checksum: sha256:…, or a file of sums"),
        ({"url": URL, "path": "/a"}, "an image comes from a url or from a path: give one of them"),
        ({"path": "a.raw"}, "'a.raw' is not an absolute path of a file"),
        (
            {"path": "/a", "checksum": "md5:00"},
            "'md5:00' is not a checksum: give sha256: or sha512:",
        ),
        ({"url": "ftp://a/b", "checksum": SHA256}, "'ftp://a/b' is not a web address"),
        ({"path": "/a", "vcpus": 0}, "vcpus: "),
        ({"path": "/a", "memory_mib": 1}, "memory: "),
        ({"path": "/a", "format": "vmdk"}, "format: not one of qcow2, raw"),
        ({"path": "/a", "firmware": "coreboot"}, "firmware: not one of "),
        ({"path": "/a", "pool": "../x"}, "pool: "),
        ({"path": "/a", "interfaces": [{"network": "../x"}]}, "interfaces[0].network: "),
        (
            {"path": "/a", "interfaces": [{"network": "default", "bridge": "br0"}]},
            "interfaces[0]: names both a network and a bridge",
        ),
        (
            {"path": "/a", "xml": "<domain/>", "vcpus": 2, "memory_mib": 512},
            "xml says vcpus and memory itself: give one of them",
        ),
        ({"path": "/a", "xml": "<domain/>", "secure_boot": True}, "xml says secure_boot itself"),
        ({"path": "/a", "xml": " " * 70000}, "xml: "),
    ],
)
def test_what_can_not_be_wanted(said: dict[str, Any], text: str) -> None:
    with pytest.raises(NameInvalid) as error:
        asked(**said)
    assert str(error.value).startswith(text)


def test_the_user_s_own_definition_beside_what_it_does_not_say() -> None:
    spec = asked(path="/a", xml=DOMAIN, secure_boot=False, firmware="uefi", pool="fast")
    assert (spec.xml, spec.firmware) == (DOMAIN, Firmware.UEFI)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"firmware": "bios", "secure_boot": True}, "secure boot is UEFI's, and the image starts"),
        ({"interfaces": [{}]}, "interface 0 names no network or bridge"),
        ({"xml": ""}, "xml can't be taken: "),
        ({"xml": "<domain>"}, "xml can't be taken: "),
        (
            {"xml": DOMAIN.replace("<devices/>", "<devices><hostdev/></devices>")},
            "xml can't be taken: it has a device <hostdev>, which is not taken from a user",
        ),
    ],
)
def test_what_no_host_can_make_a_definition_of(said: dict[str, Any], text: str) -> None:
    with pytest.raises(ImageUnsupported) as error:
        asked(path="/a", **said)
    assert str(error.value).startswith(f"cannot add image golden: {text}")


@pytest.mark.parametrize("state", [ImageState.ABSENT, ImageState.PREPARED, ImageState.RELEASED])
def test_elsewhere_nothing_is_made(state: ImageState) -> None:
    wanted = want("golden", state, ("a", "a", "b"), url="rubbish")
    assert (wanted.hosts, wanted.new) == (("a", "b"), None)
    with pytest.raises(NameInvalid):
        want("../golden", state)
