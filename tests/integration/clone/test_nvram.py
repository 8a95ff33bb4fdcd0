# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""UEFI variables with a real libvirtd and real firmware that libvirt chooses by itself."""

from __future__ import annotations

from pathlib import Path

import libvirt
import pytest
from maglica.disk import nvram
from maglica.domain import definition
from maglica.domain.clone import clone
from maglica.host_worker.job.vm import remove
from maglica.libvirtd.local import inactive_xml
from support import qemu_libvirtd
from support.domains import PLAN, plan

MARK = b"of the image"


def _define_uefi(connection: libvirt.virConnect, name: str) -> libvirt.virDomain:
    xml = qemu_libvirtd.definition(name, {}, memory_mib=128)
    return connection.defineXML(
        xml.replace(
            "<os><type arch='x86_64'>hvm</type></os>",
            "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>"
            "<features><acpi/></features>",
        )
    )


@pytest.fixture
def seen(folder: Path) -> Path:
    """The folder that this libvirtd takes for /var/lib/libvirt."""
    return folder / "libvirtd" / "lib"


def test_a_clone_has_the_image_s_variables_in_a_file_of_its_own(
    connection: libvirt.virConnect, seen: Path
) -> None:
    image = _define_uefi(connection, "uefi.original")
    # libvirt makes the variables; the firmware needs not run.
    image.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    image.destroy()
    xml = inactive_xml(image)
    path = nvram.hidden_path(xml, connection)
    if path is None:
        # Newer libvirts keep what they chose.
        path = definition.describe(xml).nvram
    assert path is not None
    source = seen / Path(path).relative_to("/var/lib/libvirt")
    with source.open("r+b") as file:
        file.seek(-len(MARK), 2)
        file.write(MARK)

    wanted = clone(xml, plan(xml, image_nvram=path))
    own = definition.describe(wanted).nvram
    assert own == f"/var/lib/libvirt/qemu/nvram/{PLAN.name}.{PLAN.uuid[:8]}_VARS.fd"
    target = seen / Path(own).relative_to("/var/lib/libvirt")
    nvram.copy(str(source), str(target))
    made = connection.defineXML(wanted)
    try:
        found = definition.describe(inactive_xml(made))
        assert (found.nvram, found.made.nvram) == (own, own)
        assert own in connection.domainXMLToNative("qemu-argv", inactive_xml(made))
        assert target.read_bytes().endswith(MARK)
    finally:
        remove.undefine(made, inactive_xml(made))
    # It is removed by its path in the metadata.
    assert target.exists()
    assert source.read_bytes().endswith(MARK)
