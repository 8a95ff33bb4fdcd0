# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the definition of a clone from that of its original image.

What virt-clone changes is the reference; beyond it, whatever else two domains can't share is made
the clone's own. The result is libvirt's domain XML, to be defined.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..model.card import Card
from ..model.errors import ImageUnsupported
from ..model.names import HOST_NAME_MAX, file_stem
from ..model.request import CloneMode, Customize, Nic
from ..model.text import told
from . import cdrom, disks, own_paths, size
from . import metadata as domain_metadata
from . import nics as domain_nics
from .definition import describe_disk, nvram_of, parse, text
from .disks import FurtherDisk
from .hardware import boot
from .obstacles import obstacles

_LABEL_CHILDREN = ("label", "imagelabel")


@dataclass(frozen=True)
class DiskSource:
    """The file that a copied disk of the clone has as its source: a volume of its own.

    ``size`` is what the guest sees of it, in bytes.
    """

    path: str
    format: str = "qcow2"
    pool: str = ""
    name: str = ""
    size: int | None = None


@dataclass(frozen=True)
class ClonePlan:
    """What a clone shall be. ``disks`` has an entry for each of ``Definition.copied_disks``.

    ``created`` is a Unix time, ``image_version`` is that of the base. ``interfaces``, ``vcpus`` and
    ``memory_mib`` are the image's when None. ``interface_devices`` are those of ``interfaces``, as
    far as it is said. ``taken_macs`` are MAC addresses of others, of which it gets none.
    ``image_nvram`` is where the image's UEFI variables
    are if its definition doesn't say so and it has some: see ``definition.hides_nvram``. ``seed``
    is a medium for cloud-init, ``image_seeds`` are the targets of those that the image has.
    ``customize`` says how the clone is made a guest of its own, and why so. ``asked`` are words for
    what was asked for. ``description`` is the image's when None, empty it is none.
    ``further`` are disks that the image has not, by their names, ``medium`` is the source of one
    for its drive, empty for none in it, None for the image's. ``boot_order`` is the image's where
    it is empty.
    """

    name: str
    uuid: str
    image: str
    request: str
    created: int
    who: str
    clone_mode: CloneMode
    disks: Mapping[str, DiskSource] = field(default_factory=dict)
    interfaces: Sequence[Nic] | None = None
    interface_devices: Sequence[Card] = ()
    taken_macs: Collection[str] = ()
    vcpus: int | None = None
    memory_mib: int | None = None
    image_nvram: str | None = None
    image_version: str = ""
    tags: Sequence[str] = ()
    base: str | None = None
    seed: DiskSource | None = None
    image_seeds: Sequence[str] = ()
    customize: tuple[Customize, str] | None = None
    asked: Sequence[str] = ()
    description: str | None = None
    protected: bool = False
    further: Mapping[str, tuple[FurtherDisk, DiskSource]] = field(default_factory=dict)
    medium: Mapping[str, str] | None = None
    boot_order: Sequence[str] = ()


def are_own(interfaces: Sequence[Nic] | None) -> bool:
    """Tell whether none of a clone's interfaces is connected as the image's."""
    return interfaces is not None and all(nic.network or nic.bridge for nic in interfaces)


def check(xml: str, own_networks: bool = False) -> None:
    """Raise ImageUnsupported, with every reason, if the image defined by ``xml`` can't be cloned.

    ``own_networks``: the clone gets other interfaces than the image's.
    """
    _check(parse(xml), own_networks)


def nvram_path(image_path: str, name: str, vm_uuid: str, is_qcow2: bool = False) -> str:
    """Return where the UEFI variables of a clone are: beside the image's, by its name and UUID.

    libvirt gives a domain a file by its name alone, which a later domain of that name would use.
    """
    folder, slash, _base = image_path.rpartition("/")
    return f"{folder}{slash}{file_stem(name)}.{vm_uuid[:8]}_VARS.{'qcow2' if is_qcow2 else 'fd'}"


def clone(xml: str, plan: ClonePlan) -> str:
    """Return the domain XML of the clone that ``plan`` asks for.

    ``xml`` is the image's inactive definition, read with VIR_DOMAIN_XML_SECURE so that passwords
    of its displays are in it. Raises ImageUnsupported when the image can't be cloned.
    """
    root = parse(xml)
    _check(root, are_own(plan.interfaces))
    old_name = text(root, "name")
    _identity(root, plan)
    _metadata(root, plan)
    _disks(root, plan.disks)
    cdrom.eject(root, plan.image_seeds)
    own = {**plan.disks, **({cdrom.add(root, plan.seed.path): plan.seed} if plan.seed else {})}
    said = (plan.interfaces, plan.request, plan.interface_devices, plan.taken_macs)
    domain_nics.rewrite(root, *said)
    _static_addresses(root, plan.interfaces or ())
    if plan.vcpus is not None:
        size.set_vcpus(root, plan.vcpus)
    if plan.memory_mib is not None:
        size.set_memory(root, plan.memory_mib)
    _nvram(root, plan)
    _own_files(root, own)
    _further(root, plan.further)
    if plan.medium is not None:
        _insert(root, plan, plan.medium)
    if plan.boot_order:
        boot.set_order(root, plan.boot_order)
    # With a name alone, which a client chooses, it could be a file of others: auth.log.
    own_name = f"{file_stem(plan.name)[:HOST_NAME_MAX]}.{plan.uuid[:8]}"
    own_paths.rewrite(root, old_name, own_name)
    _graphics(root)
    _vsock(root)
    _security_labels(root)
    return ET.tostring(root, encoding="unicode")


def _check(root: ET.Element, own_networks: bool) -> None:
    found = list(obstacles(root, own_networks))
    if found:
        raise ImageUnsupported("the image " + "; it ".join(found))


def _identity(root: ET.Element, plan: ClonePlan) -> None:
    root.attrib.pop("id", None)
    old_uuid = (root.findtext("uuid") or "").strip()
    _set(root, "name", plan.name)
    _set(root, "uuid", plan.uuid)
    # A title names the image; libvirt sets hwuuid to the uuid when it is left out.
    for tag in ("title", "hwuuid"):
        for element in root.findall(tag):
            root.remove(element)
    if plan.description is not None:
        _set(root, "description", plan.description)
    for element in root.iterfind("genid"):
        element.text = str(uuid.uuid5(uuid.UUID(plan.uuid), "genid"))
    # libvirt refuses a SMBIOS UUID that is not the domain's.
    for element in root.iterfind("sysinfo/*/entry"):
        if element.text and element.text.strip().lower() == old_uuid.lower():
            element.text = plan.uuid


def _metadata(root: ET.Element, plan: ClonePlan) -> None:
    # What was recorded of the image is not so of its clones, whose disks change.
    for metadata, element in [*domain_metadata.of_vm(root), *domain_metadata.of_image(root)]:
        metadata.remove(element)
    if root.find("metadata") is None:
        root.insert(list(root).index(_child(root, "uuid")) + 1, ET.Element("metadata"))
    attributes = {
        "xmlns:maglica": domain_metadata.VM_NAMESPACE,
        "image": plan.image,
        "request": plan.request,
        "created": str(plan.created),
        "who": plan.who,
        "clone_mode": plan.clone_mode.value,
    }
    if plan.image_version:
        attributes["image_version"] = plan.image_version
    if plan.base is not None:
        attributes["base"] = plan.base
    if plan.customize is not None:
        way, reason = plan.customize
        attributes |= {"customize": way.value, "customize_reason": told(reason)}
    if plan.asked:
        attributes["asked"] = " ".join(sorted(plan.asked))
    if plan.protected:
        attributes[domain_metadata.PROTECTED] = "yes"
    made = ET.SubElement(_child(root, "metadata"), "maglica:vm", attributes)
    for tag in plan.tags:
        ET.SubElement(made, "maglica:tag", {"name": tag})


def record_host_keys(xml: str, keys: Sequence[str]) -> str:
    """Return the clone's domain XML ``xml`` with its public SSH host keys in the metadata."""
    root = parse(xml)
    for _metadata, element in domain_metadata.of_vm(root):
        for key in keys:
            ET.SubElement(element, "maglica:ssh_host_key").text = key
    return ET.tostring(root, encoding="unicode")


def _own_files(root: ET.Element, disks: Mapping[str, DiskSource]) -> None:
    """Record what is the clone's own, so that it can be removed with it wherever it is by then."""
    nvram = nvram_of(root)
    for _metadata, element in domain_metadata.of_vm(root):
        for target, disk in disks.items():
            size = {} if disk.size is None else {"size": str(disk.size)}
            place = {"pool": disk.pool, "name": disk.name, "path": disk.path}
            ET.SubElement(element, "maglica:volume", {"target": target, **size, **place})
        if nvram is not None:
            ET.SubElement(element, "maglica:nvram", {"path": nvram})


def _further(root: ET.Element, further: Mapping[str, tuple[FurtherDisk, DiskSource]]) -> None:
    for name, (disk, source) in further.items():
        target = disks.target_of(disk.bus, root)
        disks.add(root, disk, target)
        for _metadata, element in domain_metadata.of_vm(root):
            place = {"pool": source.pool, "name": source.name, "path": source.path}
            said = {"disk": name, "target": target, "size": str(source.size or 0), **place}
            ET.SubElement(element, "maglica:volume", said)


def _insert(root: ET.Element, plan: ClonePlan, medium: Mapping[str, str]) -> None:
    drive = cdrom.drive(root, {plan.seed.path} if plan.seed else set())
    if drive is not None:
        cdrom.put(drive, medium)
    elif medium:
        cdrom.new(root, medium)


def _static_addresses(root: ET.Element, nics: Sequence[Nic]) -> None:
    """Record the addresses that no DHCP server will know; interfaces and ``nics`` correspond."""
    for nic, interface in zip(nics, root.iterfind("devices/interface")):
        for _metadata, element in domain_metadata.of_vm(root):
            for address in nic.addresses:
                mac = _child(interface, "mac").get("address", "")
                attributes = {"mac": mac, "address": address}
                ET.SubElement(element, "maglica:address", attributes)


def _disks(root: ET.Element, sources: Mapping[str, DiskSource]) -> None:
    for element in root.iterfind("devices/disk"):
        disk = describe_disk(element)
        if disk.shared:
            continue
        if disk.target not in sources:
            raise ImageUnsupported(f"no copy of disk {disk.target} is planned")
        source = sources[disk.target]
        element.set("type", "file")
        # Its old chain and an unfinished block job belong to the image's file.
        for tag in ("source", "backingStore", "mirror"):
            for child in element.findall(tag):
                element.remove(child)
        driver = element.find("driver")
        if driver is None:
            driver = ET.Element("driver")
            element.insert(0, driver)
        driver.set("name", "qemu")
        driver.set("type", source.format)
        place = list(element).index(driver) + 1
        element.insert(place, ET.Element("source", {"file": source.path}))


def _nvram(root: ET.Element, plan: ClonePlan) -> None:
    """State the path of the clone's own UEFI variables, also if that of the image's is not."""
    image_path = nvram_of(root) or plan.image_nvram
    if image_path is None:
        return
    boot = _child(root, "os")
    element = boot.find("nvram")
    if element is None:
        element = ET.SubElement(boot, "nvram")
    path = nvram_path(image_path, plan.name, plan.uuid, element.get("format") == "qcow2")
    source = element.find("source")
    if source is not None:
        source.set("file", path)
    else:
        element.text = path


def _graphics(root: ET.Element) -> None:
    for element in root.iterfind("devices/graphics"):
        if element.get("port", "-1") != "-1" or element.get("tlsPort", "-1") != "-1":
            element.set("port", "-1")
            element.attrib.pop("tlsPort", None)
            element.set("autoport", "yes")
        if element.get("websocket", "-1") != "-1":
            element.set("websocket", "-1")
        # libvirt makes a path of its own for a listener that has none.
        for holder in (element, *element.iterfind("listen")):
            holder.attrib.pop("socket", None)


def _vsock(root: ET.Element) -> None:
    for element in root.iterfind("devices/vsock/cid"):
        element.attrib.pop("address", None)
        element.set("auto", "yes")


def _security_labels(root: ET.Element) -> None:
    """Let libvirt make labels of the clone's own; a fixed one would let two vms share files."""
    for element in root.findall("seclabel"):
        if element.get("type") == "static" and element.get("model") != "dac":
            root.remove(element)
            continue
        if element.get("type") == "dynamic":
            for child in [c for c in element if c.tag in _LABEL_CHILDREN]:
                element.remove(child)


def _child(root: ET.Element, tag: str) -> ET.Element:
    element = root.find(tag)
    if element is None:
        raise ImageUnsupported(f"the definition has no <{tag}>")
    return element


def _set(root: ET.Element, tag: str, value: str) -> None:
    element = root.find(tag)
    if element is None:
        element = ET.Element(tag)
        root.insert(1, element)
    element.text = value
