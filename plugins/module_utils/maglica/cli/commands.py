# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command does with the client worker; cli.py has the words of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from ..manage import images as image_apply
from ..manage.images import Readiness
from ..manage.outcome import ended_with
from ..model import errors, names
from ..model.errors import ConfigInvalid, NameTaken, VmUnknown
from ..model.plain import plain
from ..model.request import (
    CloneMode,
    DomainSummary,
    HostStatus,
    Nic,
    Request,
    Spec,
    State,
)
from ..model.text import one_line
from ..verbs import table
from ..verbs.clone import CloneSpec
from ..wire.client import Client
from . import many, text
from .console import Console


def image_list(client: Client, options: argparse.Namespace, console: Console) -> None:
    hosts = _hosts(client, options, console)
    images = [
        {
            "name": domain.name,
            "host": status.host,
            "uuid": domain.uuid,
            "refused": text.refusal(status, domain.name),
        }
        for status in hosts
        for domain in status.report.domains
        if domain.is_image
    ]
    console.show(images, text.image_table(hosts))


def vm_list(client: Client, options: argparse.Namespace, console: Console) -> None:
    hosts = _hosts(client, options, console)
    vms = [
        {"host": status.host, **plain(domain)}
        for status in hosts
        for domain in status.report.domains
        if not domain.is_image
    ]
    console.show(vms, text.vm_table(hosts))


def host_list(client: Client, options: argparse.Namespace, console: Console) -> None:
    hosts = _chosen(client, options)
    console.show(hosts, text.host_table(hosts) + text.leftover_lines(hosts))


def vm_clone(client: Client, options: argparse.Namespace, console: Console) -> None:
    specs = [_clone_spec(name, options) for name in many.names(options)]
    if len(specs) == 1:
        _submit(client, specs[0], options, console)
    else:
        many.clone(client, specs, options, console)


def _clone_spec(name: str, options: argparse.Namespace) -> CloneSpec:
    networks = None
    if options.network:
        networks = tuple(Nic(network=names.object_name(name)) for name in options.network)
    return CloneSpec(
        name=names.vm_name(name),
        image=names.object_name(options.image),
        host=options.host and names.object_name(options.host),
        clone_mode=CloneMode(options.mode),
        pool=options.pool and names.object_name(options.pool),
        vcpus=options.vcpus,
        memory_mib=options.memory,
        networks=networks,
        ssh_authorized_keys=_authorized_keys(options.ssh_authorized_keys),
        tags=_tags(options.tags),
        start=options.start,
    )


def vm_act(client: Client, options: argparse.Namespace, console: Console) -> None:
    host, domain = _find(client.hosts(), names.object_name(options.name), options.host)
    verb = table.named(options.command)
    said = {option.field: getattr(options, option.field) for option in verb.options}
    if "tags" in said:
        said["tags"] = _tags(said["tags"])
    spec: Spec = verb.spec(name=domain.name, uuid=domain.uuid, host=host, **said)
    _submit(client, spec, options, console)


def image_act(client: Client, options: argparse.Namespace, console: Console) -> None:
    """Prepare or release an image on the hosts that have it; show what was done on each."""
    state = Readiness.PREPARED if options.command == "prepare" else Readiness.RELEASED
    hosts = (options.host,) if options.host else ()
    wanted = image_apply.Wanted(names.object_name(options.name), state, hosts)
    told: dict[str, Request] = {}

    def tell(now: Request) -> None:
        for line in text.progress(told.get(now.id), now):
            console.say(line)
        told[now.id] = now

    timeout = options.timeout if options.wait else 0
    places = image_apply.bring(client, wanted, timeout, tell)
    console.show(
        [{"host": place.host, "changed": place.changed} for place in places],
        text.places(options.command, places),
    )
    failed = [place.error for place in places if place.error]
    if failed:
        raise type(failed[0])("; ".join(map(str, failed)))


def request_list(client: Client, options: argparse.Namespace, console: Console) -> None:
    states = [State(state) for state in options.state]
    requests = client.list(states, options.limit, name=options.name)
    console.show(requests, text.request_table(requests))


def request_show(client: Client, options: argparse.Namespace, console: Console) -> None:
    request = client.status(options.id)
    console.show(request, text.request_text(request))


def request_cancel(client: Client, options: argparse.Namespace, console: Console) -> None:
    request = client.cancel(options.id)
    if options.wait and not request.state.ended:
        request = _follow(client, request, options.timeout, console)
    told = request.state.value if request.state.ended else "being cancelled"
    console.show(request, f"request {request.id} is {told}\n")


def request_wait(client: Client, options: argparse.Namespace, console: Console) -> None:
    request = _follow(client, client.status(options.id), options.timeout, console)
    _end(request, console)


def _submit(client: Client, spec: Spec, options: argparse.Namespace, console: Console) -> None:
    request = client.submit(spec)
    if options.wait:
        request = _follow(client, request, options.timeout, console)
    _end(request, console)


def _follow(client: Client, request: Request, timeout: float, console: Console) -> Request:
    """Wait for the request's end and say what happens until then."""
    before: Request | None = None

    def tell(now: Request) -> None:
        nonlocal before
        for line in text.progress(before, now):
            console.say(line)
        before = now

    try:
        return client.wait(request.id, timeout, tell)
    except KeyboardInterrupt:
        console.say("")
        console.say(
            f"request {request.id} goes on; `maglica request wait {request.id}` waits for it,"
            f" `maglica request cancel {request.id}` stops it"
        )
        raise


def _end(request: Request, console: Console) -> None:
    """Show the request; raise what it failed with."""
    if request.state is State.DONE:
        console.show(request, one_line(text.outcome(request)) + "\n")
        return
    if not request.state.ended:
        console.show(request, f"request {request.id} is {request.state.value}\n")
        return
    if console.as_json:
        console.show(request, "")
    error = ended_with(request)
    if error is not None:
        raise error


def _hosts(client: Client, options: argparse.Namespace, console: Console) -> list[HostStatus]:
    """Return the hosts whose domains are to be shown; say what may be out of date."""
    shown = _chosen(client, options)
    for status in shown:
        if not status.seen:
            console.say(f"maglica: warning: host {status.host} is down and was never heard of")
        elif not status.alive:
            since = text.moment(status.seen)
            console.say(f"maglica: warning: host {status.host} is down; as it was at {since}")
        elif status.report.problem:
            console.say(f"maglica: warning: host {status.host}: {status.report.problem}")
    return shown


def _chosen(client: Client, options: argparse.Namespace) -> list[HostStatus]:
    chosen = [status for status in client.hosts() if options.host in (None, status.host)]
    if options.host and not chosen:
        raise errors.HostUnknown(f"no host {options.host} is known to the client worker")
    return chosen


def _find(hosts: Iterable[HostStatus], name: str, host: str | None) -> tuple[str, DomainSummary]:
    """Return the host and the summary of the one vm of that name."""
    found = [
        (status.host, domain)
        for status in hosts
        for domain in status.report.domains
        if domain.name == name and host in (None, status.host)
    ]
    where = f"host {host}" if host else "any host"
    vms = [(at, domain) for at, domain in found if not domain.is_image]
    if len(vms) > 1:
        all_hosts = ", ".join(at for at, _other in vms)
        raise NameTaken(f"vm {name} is on several hosts: {all_hosts}; name one with --host")
    if vms:
        return vms[0]
    if found:
        raise VmUnknown(f"{name} on host {found[0][0]} is an original image, no vm")
    raise VmUnknown(f"no vm {name} is on {where}")


def _tags(said: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({names.tag(tag) for tag in said}))


def _authorized_keys(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"cannot read SSH keys from {path}: {error}") from error
    keys = (line.strip() for line in lines)
    return tuple(names.ssh_key(key) for key in keys if key and not key.startswith("#"))
