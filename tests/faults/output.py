# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings that come from hosts and guests: on the terminal, and in an inventory."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock
from xml.sax.saxutils import escape, quoteattr

import libvirt
import yaml
from maglica.cli import main
from maglica.cli import text as cli_text
from maglica.fleet.by_libvirt import LibvirtFleet
from maglica.fleet.snapshot import Snapshot
from maglica.fleet.source import Access
from maglica.model.errors import MessageInvalid
from maglica.model.moment import Moment
from maglica.model.plain import plain
from maglica.model.request import (
    DomainSummary,
    Failure,
    HostReport,
    HostStatus,
    Phase,
    Request,
    State,
)
from maglica.model.vm import Domain, Interface, vm_uuid
from maglica.verbs.clone import CloneSpec
from support import listing, testdriver
from support.fake_client import FakeClient
from support.figures import Figure, at_most, control

from .fields import check
from .frame import Run

CHECKOUT = Path(__file__).resolve().parents[2]
HOST = "kvm0.example.jp"
# What XML 1.0 can hold (section 2.2), and so what a definition can.
_XML = re.compile(r"[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def figures(run: Run, texts: Sequence[str]) -> Iterator[Figure]:
    """Show every text by the command line, and list domains that are made of them."""
    terminal = _Terminal(run.folder / "cli", texts)
    with mock.patch.multiple(cli_text, one_line=str):
        raw = _Terminal(run.folder / "raw", texts, checked=False).bad()
    how = f"{terminal.shown} texts of hosts that the schema lets in, in six commands"
    what = "control characters and forged lines on the terminal"
    yield at_most(what, terminal.bad(), 0, how)
    yield control(what, raw, "nothing checked, nothing escaped")
    run.say("listing")
    found = _listed(run, [text for text in texts if text and _XML.fullmatch(text)])
    how = f"{found['domains']} domains in ansible-inventory, a play and maglica_vm_info"
    yield at_most("templates rendered", found["rendered"], 0, how)
    yield at_most("control characters in Ansible's output", found["control"], 0, how)
    how = "the same texts in an inventory file, which Ansible trusts"
    yield control("templates rendered", found["trusted"], how)


class _Terminal:
    """The command line with a client worker in memory, where hosts have said all texts."""

    def __init__(self, folder: Path, texts: Sequence[str], checked: bool = True) -> None:
        folder.mkdir()
        self._conf = folder / "maglica.conf"
        self._conf.write_text(
            "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
            f"[host {HOST}]\nuri = test:///default\n"
        )
        self._checked = checked
        self._hosts = [host for n, text in enumerate(texts) if (host := self._host(n, text))]
        self._requests = [each for n, text in enumerate(texts) for each in self._tell(n, text)]
        self.shown = len(self._hosts)

    def bad(self) -> int:
        """Return in how many commands there are more lines than facts, or control characters."""
        count = len(self._hosts)
        found = sum(
            self._is_bad(words, lines)
            for words, lines in (
                (("vm", "list"), 2 + count),
                (("image", "list"), 2 + count),
                (("host", "list"), 2 + count),
                (("request", "list", "--limit", "1000"), 2 + len(self._requests)),
            )
        )
        usual = self._run("request", "show", self._requests[0].id).count("\n")
        for request in self._requests:
            found += self._is_bad(("request", "show", request.id), usual)
            found += self._is_bad(("request", "wait", request.id), None)
        return found

    def _is_bad(self, words: Sequence[str], lines: int | None) -> bool:
        output = self._run(*words)
        is_shown = all(line.isprintable() for line in output.split("\n"))
        # Beside a table, there is a warning for each host.
        table = [line for line in output.split("\n") if line and "warning: " not in line]
        return not is_shown or (lines is not None and len(table) != lines)

    def _run(self, *words: str) -> str:
        client = FakeClient(self._hosts)
        client.requests = {request.id: request for request in self._requests}
        client._ids = {each.id: (each.id, each.spec) for each in self._requests}
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            main.main(["--config", str(self._conf), *words], lambda _config: client, self._fleet)
        return written.getvalue()

    def _fleet(self, _access: Access, _client: object) -> LibvirtFleet:
        """Return a fleet whose libvirtds show the domains of all reports."""
        domains = [
            Domain(
                *(each.name, each.uuid, status.host, "stopped", each.active),
                made=False,
                is_image=each.is_image,
            )
            for status in self._hosts
            for each in status.report.domains
        ]
        seen = Snapshot(
            vms=tuple(domain for domain in domains if not domain.is_image),
            images=tuple(domain for domain in domains if domain.is_image),
        )
        fleet = mock.create_autospec(LibvirtFleet, instance=True)
        fleet.all.return_value = seen
        return fleet

    def _host(self, number: int, text: str) -> HostStatus | None:
        names = [
            DomainSummary(text, vm_uuid(str(number)), is_on, True, False, 1, 64) for is_on in (0, 1)
        ]
        domains = tuple(replace(each, active=bool(each.active)) for each in names)
        report = HostReport(domains=domains, problem=text or None)
        status = HostStatus(f"kvm{number}.example.jp", True, Moment(1), 1.0, report)
        return status if self._is_let_in("hosts", {"hosts": [status]}) else None

    def _tell(self, number: int, text: str) -> Iterator[Request]:
        text = text or "x"
        vm = Domain(
            "vm0.example.jp",
            vm_uuid(str(number)),
            HOST,
            text[:40],
            active=True,
            interfaces=(Interface(text[:40]),),
        )
        request = Request(
            f"{number:08x}-0000-4000-8000-000000000000",
            CloneSpec("vm0.example.jp", "debian12.original"),
            state=State.DONE if number % 2 else State.FAILED,
            host=HOST,
            who=text[:200],
            phases=(Phase(text[:40], 1.0),),
            failure=Failure("no_room", text[:2000]),
            vm=vm,
        )
        if self._is_let_in("requests", {"requests": [request]}):
            yield request

    def _is_let_in(self, kind: str, body: dict[str, Any]) -> bool:
        try:
            check("answered", kind, plain(body))
        except MessageInvalid:
            return not self._checked
        return True


def _listed(run: Run, texts: Sequence[str]) -> dict[str, int]:
    folder = run.folder / "ansible"
    folder.mkdir()
    mark = folder / "rendered"
    changed = [text.replace(str(run.folder / "mark"), str(mark)) for text in texts]
    with testdriver.running() as libvirtd:
        connection = libvirt.open(libvirtd.uri())
        try:
            wanted = _define(connection, changed)
            found = _list(folder, libvirtd.uri(), wanted)
        finally:
            connection.close()
    found["rendered"] += mark.exists()
    return {**found, "trusted": _trusted(folder, changed, mark), "domains": len(wanted)}


def _define(connection: libvirt.virConnect, texts: Sequence[str]) -> dict[str, str]:
    """Define a domain of each text; return the texts by the UUIDs of their domains."""
    wanted = {}
    for number, text in enumerate(texts):
        request = f"{number:08x}-0000-4000-8000-000000000000"
        value = quoteattr(text, {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
        metadata = (
            f"<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image={value}"
            f" request='{request}' created='1' who={value} clone_mode={value}/>"
        )
        # Most texts can't be a domain's name; their domains have them elsewhere.
        for name in (escape(text), f"vm{number}.example.jp"):
            xml = testdriver.domain(name, number, identity=vm_uuid(request), metadata=metadata)
            xml = xml.replace("<source network='default'/>", f"<source network={value}/>")
            with contextlib.suppress(libvirt.libvirtError):
                connection.defineXML(xml)
                wanted[vm_uuid(request)] = text
                break
    return wanted


def _list(folder: Path, uri: str, wanted: dict[str, str]) -> dict[str, int]:
    inventory = folder / "maglica.yml"
    options = {"plugin": "maglica.cloud.maglica", "hosts": [{"name": HOST, "uri": uri}]}
    inventory.write_text(yaml.safe_dump({**options, "keyed_groups": [{"key": "maglica_who"}]}))
    (folder / "maglica.conf").write_text(f"[host {HOST}]\nuri = {uri}\n")
    done = _ansible(folder, "ansible-inventory", "-i", inventory, "--list")
    every = listing.loads(done.stdout)["_meta"]["hostvars"]
    shown = {each["maglica_uuid"]: each for each in every.values() if "maglica_uuid" in each}
    rendered = sum(shown[uuid]["maglica_who"] != text for uuid, text in wanted.items())
    play = folder / "play.yml"
    show = "{% for name in groups['all'] %}{{ hostvars[name] | to_json }}{% endfor %}"
    info = {"maglica.cloud.maglica_vm_info": {"config": str(folder / "maglica.conf")}}
    tasks = [
        {"ansible.builtin.debug": {"msg": show}},
        {**info, "register": "found"},
        {"ansible.builtin.debug": {"var": "found"}},
    ]
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    played = _ansible(folder, "ansible-playbook", "-i", inventory, "-c", "local", play)
    if played.returncode:
        raise RuntimeError(played.stdout[-2000:] + played.stderr[-2000:])
    # Ansible's JSON leaves what is above U+007F as it is; warnings are this project's own.
    control = re.findall(r"[\0-\x08\x0b-\x1f]", done.stdout + played.stdout)
    control += re.findall(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", done.stderr + played.stderr)
    return {"rendered": rendered, "control": len(control)}


def _trusted(folder: Path, texts: Sequence[str], mark: Path) -> int:
    """Count the templates that are rendered when Ansible trusts them."""
    (folder / "play.yml").write_text(
        yaml.safe_dump(
            [
                {
                    "hosts": "all",
                    "gather_facts": False,
                    "tasks": [{"ansible.builtin.debug": {"msg": "{{ maglica_who }}"}}],
                }
            ]
        )
    )
    dangerous = [text for text in texts if "lookup(" in text]
    hosts = {f"vm{n}": {"maglica_who": text} for n, text in enumerate(dangerous)}
    inventory = folder / "trusted.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    _ansible(folder, "ansible-playbook", "-i", inventory, folder / "play.yml")
    return int(mark.exists())


def _ansible(folder: Path, program: str, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    command = [str(Path(sys.executable).parent / program), *map(str, words)]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
