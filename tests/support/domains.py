# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus of domain definitions, and plans to clone them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from maglica.domain import definition as domain_xml
from maglica.domain.clone import ClonePlan, DiskSource
from maglica.model.request import CloneMode
from maglica.model.vm import vm_uuid

CORPUS = Path(__file__).resolve().parent.parent / "unit" / "domain" / "corpus"
IMAGES = sorted(path.stem for path in CORPUS.glob("*.xml"))
REQUEST = "00000000-0000-4000-8000-000000000001"
PLAN = ClonePlan(
    name="vm0.example.jp",
    uuid=vm_uuid(REQUEST),
    image="any.original",
    request=REQUEST,
    created=1795500000,
    who="root",
    clone_mode=CloneMode.LINKED,
)


def definition(image: str) -> str:
    """Return the XML of the corpus's image."""
    return (CORPUS / f"{image}.xml").read_text(encoding="utf-8")


def plan(xml: str, **changes: object) -> ClonePlan:
    """Return a plan that has a file for each disk of the image defined by ``xml``."""
    described = domain_xml.describe(xml)
    disks = {
        disk.target: DiskSource(f"/pool/{PLAN.name}.{disk.target}.qcow2")
        for disk in described.copied_disks
    }
    return replace(PLAN, **{"image": described.name, "disks": disks, **changes})


def domain(
    devices: str = "",
    outside: str = "",
    kind: str = "kvm",
    uuid: str = "11111111-2222-4333-8444-0000000000ff",
) -> str:
    """Return a small definition with ``devices`` and, beside them, what is ``outside``."""
    return f"""<domain type='{kind}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
      <name>small.original</name>
      <uuid>{uuid}</uuid>
      <memory>1048576</memory>
      {outside}
      <devices>{devices}</devices>
    </domain>"""
