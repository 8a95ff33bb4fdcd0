# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line shows: values in, text out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from ..manage import amount
from ..manage.image_plan import Place
from ..manage.target import Target
from ..model import sizes
from ..model.plain import plain
from ..model.request import HostStatus, Request
from ..model.text import one_line, some
from ..model.vm import Disk, Domain, Graphics, Interface
from ..verbs.clone import CloneSpec

_FIRST_COLUMN = 40
_LINE = 57
_DIGITS = 12
_OF_IMAGES = {
    "way": "Customized by",
    "checksum": "Checksum",
    "origin": "Origin",
    "refused": "Can't be customized",
}


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first column is 40 wide or more, and the others as wide as needed."""
    texts = [titles, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in texts) for index in range(len(titles))]
    widths[0] = max(widths[0], _FIRST_COLUMN)
    lines = [" ".join(map(str.ljust, row, widths)).rstrip() for row in texts]
    return "\n".join([lines[0], "-" * max(_LINE, *map(len, lines)), *lines[1:]]) + "\n"


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else one_line(str(value))


def image_table(images: Sequence[Mapping[str, Any]]) -> str:
    """Return names and hosts, and each other column of which something is known."""
    shown = [
        {
            **image,
            "checksum": _short(image["checksum"]),
            "refused": image["reason"] if image["customizable"] is False else None,
        }
        for image in images
    ]
    columns = {
        "name": "Name",
        "host": "Host",
        **{key: title for key, title in _OF_IMAGES.items() if any(map(itemgetter(key), shown))},
    }
    return table(list(columns.values()), [[image[key] for key in columns] for image in shown])


def _short(checksum: str | None) -> str | None:
    """Return enough of a checksum to tell it from others."""
    algorithm, colon, digits = (checksum or "").partition(":")
    return f"{algorithm}{colon}{digits[:_DIGITS]}"


def look_table(looks: Iterable[Mapping[str, Any]]) -> str:
    """Return how clones of an image are customized on each host, and what its guest is."""
    rows = [
        (
            look["host"],
            look["way"],
            f"{look['distro']} {look['release']}".strip(),
            look["stack"],
            look["layout"],
            look["reason"],
        )
        for look in looks
    ]
    return table(("Host", "Customized by", "System", "Network", "Disk", "Because"), rows)


def catalog_table(entries: Iterable[Mapping[str, Any]]) -> str:
    columns = ("name", "user", "firmware", "url", "notes")
    rows = [[plain(entry[column]) for column in columns] for entry in entries]
    return table(("Name", "User", "Firmware", "URL", "Notes"), rows)


def places(done: str, places: Sequence[Place]) -> str:
    """Return what was done for an image on each host; what was to do is then ``done``."""
    return table(("Host", "Done"), [(place.host, _done(done, place)) for place in places])


def _done(done: str, place: Place) -> str:
    if place.request is not None and not place.request.state.ended:
        return place.request.state.value
    if place.error is not None:
        return "failed"
    return done if place.changed else "nothing to do"


def vm_table(vms: Iterable[Domain]) -> str:
    rows = [
        (vm.name, vm.host, vm.state, vm.address, vm.image, _whose(vm), vm.vcpus, vm.memory_mib)
        for vm in vms
    ]
    return table(("Name", "Host", "State", "Address", "Image", "Whose", "vCPUs", "MiB"), rows)


def _whose(vm: Domain) -> str | None:
    if vm.adopted:
        return "adopted"
    return {True: "Maglica", False: "others", None: None}[vm.made]


def vm_text(vm: Domain) -> str:
    """Return everything about one vm, a line for each fact."""
    whose = {True: "Maglica", False: "somebody else, so Maglica leaves it alone", None: None}
    maker = "somebody else, and adopted" if vm.adopted else whose[vm.made]
    by_way_of = f"{vm.customize}: {vm.customize_reason}" if vm.customize_reason else vm.customize
    facts = [
        ("name", vm.name),
        ("host", vm.host),
        ("state", vm.state),
        ("address", vm.address),
        ("image", vm.image),
        ("clone mode", vm.clone_mode),
        ("customize", by_way_of),
        ("vCPUs", vm.vcpus),
        ("memory", f"{vm.memory_mib} MiB" if vm.memory_mib else None),
        ("restart needed", _waits(vm) if vm.restart_needed else None),
        *(("interface", _interface(nic)) for nic in vm.interfaces),
        *(("then interface", _interface(nic)) for nic in vm.next_interfaces or ()),
        *(("disk", _disk(disk)) for disk in vm.disks),
        *(("graphics", _graphics(each)) for each in vm.graphics),
        ("console", vm.console and f"{vm.console.type} {vm.console.path or ''}".strip()),
        ("tags", " ".join(vm.tags)),
        ("description", vm.description),
        ("protected", "yes: it is not removed" if vm.protected else None),
        ("autostart", "yes: its host starts it" if vm.autostart else None),
        ("made by", maker),
        ("submitted by", vm.who),
        ("created", moment(vm.created) if vm.created else None),
        ("request", vm.request),
        ("uuid", vm.uuid),
        *(("ssh host key", key) for key in vm.ssh_host_keys),
        *(("foreign disk", path) for path in vm.foreign_disks),
    ]
    return _facts(facts)


def _waits(vm: Domain) -> str:
    """Return for what a vm waits that needs a restart."""
    sizes, interfaces = "for these vCPUs and memory", "for other interfaces"
    if vm.next_interfaces is None:
        return sizes
    runs_with = (vm.running_vcpus, vm.running_memory_mib)
    is_resized = runs_with not in ((None, None), (vm.vcpus, vm.memory_mib))
    return f"{sizes}, and {interfaces}" if is_resized else interfaces


def _interface(nic: Interface) -> str:
    """Return what an interface is, and what of it is not as with most."""
    where = [f"on {nic.network}"] if nic.network else []
    vlan = ",".join(map(str, nic.vlan))
    told = {"VLAN": vlan, "filter": nic.filter, "switch": nic.virtualport}
    kept = [f"{word} {value}" for word, value in told.items() if value]
    cable = ["link down"] if nic.link == "down" else []
    model = [nic.model] if nic.model else []
    return " ".join((nic.mac, *where, *nic.addresses, *model, *kept, *cable))


def _disk(disk: Disk) -> str:
    size = None if disk.capacity_bytes is None else sizes.about(disk.capacity_bytes)
    device = None if disk.device == "disk" else disk.device
    return " ".join(filter(None, (disk.target, device, size, disk.format, disk.source)))


def _graphics(graphics: Graphics) -> str:
    address = graphics.listen or ""
    host = f"[{address}]" if ":" in address else address
    ports = {"": graphics.port, " (TLS)": graphics.tls_port}
    at = [f"{host}:{port}{how}" for how, port in ports.items() if port]
    return " ".join(filter(None, (graphics.type, *at, graphics.socket)))


def _facts(facts: Iterable[tuple[str, object]]) -> str:
    """Return a line for each fact of which something is known."""
    told = ((one_line(name), one_line(str(value))) for name, value in facts if value)
    return "".join(f"{name + ':':18}{value}\n" for name, value in told)


def members(members: Sequence[Target]) -> str:
    """Return how vms are now, of those that nothing stands against."""
    done = [member for member in members if not member.error]
    going = [m.request for m in done if m.request is not None and not m.request.state.ended]
    if len(members) > 1 and going:
        return request_table(going)
    return "".join(map(_member, done))


def _member(member: Target) -> str:
    request, vm = member.request, member.vm or {}
    if request is None:
        line = f"{member.name} is {vm.get('state')} on {vm.get('host')}: nothing to do"
        return one_line(line) + "\n"
    if not request.state.ended:
        return f"request {request.id} is {request.state.value}\n"
    return outcome(request)


def host_table(hosts: Iterable[HostStatus]) -> str:
    rows = []
    for status in hosts:
        report = status.report
        images = sum(domain.is_image for domain in report.domains)
        rows.append(
            (
                status.host,
                "up" if status.alive else "down",
                f"{status.weight:g}",
                report.cpus,
                f"{report.memory_free_mib}/{report.memory_total_mib}",
                images,
                len(report.domains) - images,
                status.worker_version,
                report.problem,
            )
        )
    titles = ("Name", "State", "Weight", "CPUs", "MiB free", "Images", "Vms", "Version", "Problem")
    return table(titles, rows)


def leftover_lines(hosts: Iterable[HostStatus]) -> str:
    """Return what looks like Maglica's on each host and is not shown to be, or nothing."""
    lines = [
        f"{status.host}: {one_line(leftover.path)} ({leftover.allocated_bytes >> 20} MiB):"
        f" {one_line(leftover.command)}\n"
        for status in hosts
        for leftover in status.report.leftovers
    ]
    title = (
        "\nLeftovers: files that look like Maglica's, and that nothing shows to be. Maglica never"
        " removes them;\nwhere nobody needs one, the command removes it.\n"
    )
    return "".join([title, *lines]) if lines else ""


def request_table(requests: Iterable[Request]) -> str:
    rows = [
        (
            request.id,
            request.kind,
            request.name,
            request.host,
            "cancelling" if request.cancelling and not request.state.ended else request.state.value,
            request.phase if not request.state.ended else None,
            moment(request.created),
        )
        for request in requests
    ]
    return table(("Id", "Kind", "Vm", "Host", "State", "Phase", "Created"), rows)


def request_text(request: Request) -> str:
    """Return everything about one request, a line for each fact."""
    facts = [
        ("id", request.id),
        ("kind", request.kind),
        ("vm", request.name),
        ("image", getattr(request.spec, "image", None)),
        ("host", request.host),
        ("state", request.state.value),
        ("submitted by", request.who),
        ("created", moment(request.created)),
        ("updated", moment(request.updated)),
        ("phase", request.phase if not request.state.ended else None),
    ]
    facts += [(f"phase {phase.name}", f"{phase.seconds:.2f} s") for phase in request.phases]
    if request.failure:
        facts.append(("failure", f"{request.failure.text} ({request.failure.code})"))
    if request.vm:
        facts.append(("uuid", request.vm.uuid))
        facts += [
            ("interface", " ".join((interface.mac, *interface.addresses)))
            for interface in request.vm.interfaces
        ]
    return _facts(facts)


def moment(seconds: float) -> str:
    """Return a time since 1970 as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def asked(request: Request) -> str:
    """Return the line about a request that was handed in."""
    where = f" on {request.host}" if request.host else ""
    return f"{request.kind} {request.name}{where}: request {request.id}"


def counted(request: Request, many: bool = False) -> list[str]:
    """Return a line with how much of its phase is over, or none where nobody counts.

    ``many``: it is one of several, each on another host.
    """
    words = amount.words(request)
    return [f"{_indent(request, many)}{request.phase} … {words}"] if words else []


def goes_on(request: Request, many: bool = False) -> str:
    """Return the line about a request of which nothing was heard for a while."""
    return f"{_indent(request, many)}{request.phase or request.state.value} …"


def took(request: Request, many: bool = False) -> list[str]:
    """Return a line with how long each phase of an ended request took, or none if it had none."""
    phases = ", ".join(f"{phase.name} {phase.seconds:.1f} s" for phase in request.phases)
    return [f"{_indent(request, many)}{phases}"] if phases else []


def _indent(request: Request, many: bool) -> str:
    return f"  {request.host}: " if many and request.host else "  "


def outcome(request: Request) -> str:
    """Return the line about a request that is done."""
    took = f"{max(request.updated - request.created, 0):.1f} s"
    vm = request.vm
    if vm is None:
        line = f"{request.kind} of {request.name} on {request.host} is done ({took})"
    else:
        line = f"{vm.name} is {vm.state} on {vm.host} ({took})"
        if isinstance(request.spec, CloneSpec) and vm.customize:
            line += f"; customize {vm.customize}: {vm.customize_reason}"
        if request.kind == "remove" and vm.foreign_disks:
            line += f"; removed with it: {some(vm.foreign_disks)}"
    return one_line(line) + "\n"
