# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every string of the corpus in every string field of every message, and what becomes of it.

What the checks let through goes on to where it has an effect: file names, definitions, guests'
files, journals, output. The control is the same without the checks.
"""

from __future__ import annotations

import subprocess
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path as FilePath
from unittest import mock

import libvirt
from maglica.host_worker.journal.journal import Journal
from maglica.manage.wanted import want
from maglica.model.errors import MaglicaError, MessageInvalid
from maglica.model.request import CloneMode, Customize, Nic, Request, Spec, User
from maglica.verbs.clone import CloneSpec
from maglica.wire import messages as schema
from support.figures import Figure, at_least, at_most, control, reported

from . import corpus, output
from .effects import Effects, Host, harmless
from .fields import UUID, Path, at, check, messages, put, record, specs, strings_in
from .frame import Run

BROKEN = "broken by "


def figures(run: Run) -> Iterator[Figure]:
    """Inject everywhere; then what comes from hosts and guests goes to the output."""
    libvirt.registerErrorHandler(lambda *_error: None, None)
    texts = corpus.strings(str(run.folder / "mark"))
    # In the short form some of them, but all that Ansible could render.
    some = list(texts)
    if run.short:
        some = [text for text in texts if "lookup(" in text]
        some += run.random("texts").sample(sorted(set(texts) - set(some)), 50)
    run.say(f"{len(texts)} strings, {len(some)} of them in each field")
    yield at_least("injection: distinct strings", len(set(texts)), 200, "tests/faults/corpus.py")
    yield from _schema(run, some)
    run.say("clones")
    yield from _clones(run, some)
    run.say("vms and images")
    yield from _others(run, some)
    run.say("output")
    yield from output.figures(run, some)
    mark = run.folder / "mark"
    yield at_most("injection: commands run", mark.exists(), 0, "the file that they would make")
    _run_by_shell(run.folder, [text for text in texts if str(mark) in text])
    yield control(
        "injection: commands run", int(mark.exists()), "the same texts in a shell's command"
    )


def _run_by_shell(folder: FilePath, texts: Sequence[str]) -> None:
    """Do what no worker does: put each text into a command line."""
    for text in texts:
        command = ["sh", "-c", f"echo {text}"]
        subprocess.run(
            command,
            cwd=folder,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
        )


def _schema(run: Run, texts: Sequence[str]) -> Iterator[Figure]:
    counts = _injected(run, texts)
    how = f"{counts['fields']} string fields of all messages, as received by either worker"
    yield reported("injection: messages", counts["messages"], how)
    yield reported("injection: messages let in", counts["let in"], how)
    what = "injection: control characters let in"
    yield at_most(what, counts["control"], 0, "all but newline")
    with mock.patch.object(schema, "_body", lambda _table, _kind, body: body):
        yield control(what, _injected(run, ["\x1b[2J"])["control"], "bodies not checked")
    yield at_most("injection: checks that broke", counts["broken"], 0, "not message_invalid")
    yield at_most("injection: refusals without a place", counts["unclear"], 0, "no path to it")


def _injected(run: Run, texts: Sequence[str]) -> Counter[str]:
    """Put each text into each string field of each message; count what becomes of it."""
    counts: Counter[str] = Counter()
    for direction, kind, body in messages():
        for path in strings_in(body):
            counts["fields"] += 1
            for text in texts:
                counts["messages"] += 1
                try:
                    checked = check(direction, kind, put(body, path, text))
                except MessageInvalid as error:
                    counts["unclear"] += kind not in str(error)
                except Exception as error:  # noqa: BLE001 - it must be counted
                    counts["broken"] += 1
                    run.say(f"{kind} {path} {text[:60]!r}: {error!r}")
                else:
                    counts["let in"] += 1
                    del checked
                    counts["control"] += _can_command(text, path)
    return counts


def _can_command(text: str, path: Path) -> bool:
    """Tell whether a text that was let in there has what it must not have."""
    if path[-1] == "xml":
        # It may be indented by tabs, have a Windows user's ends of lines, and any script's signs.
        kinds = (unicodedata.category(char) for char in text if char not in "\n\t\r")
        return any(kind in ("Cc", "Cs") for kind in kinds)
    return not text.replace("\n", "").isprintable()


def _clones(run: Run, texts: Sequence[str]) -> Iterator[Figure]:
    host = Host(run.folder / "host")
    journal = Journal(run.folder / "host" / "state")
    spec = record(CloneSpec)
    counts: Counter[str] = Counter()
    let_in: list[CloneSpec] = []
    try:
        for path in strings_in(spec):
            for text in texts:
                wanted = _let_in(put(spec, path, text))
                # To the modules a vm's name is its host name, too.
                if path[0] not in ("start", "name"):
                    is_refused = _module_refuses(put(spec, path, text))
                    counts["differ"] += (wanted is None) != is_refused
                if wanted is not None:
                    counts["clones"] += 1
                    counts.update(_compare(host, spec, wanted, path, text))
                    counts["xml"] += not host.act(wanted, UUID)
                    let_in.append(wanted)
        counts["stored"] += _stored_otherwise(journal, let_in)
        made = [file for file in run.folder.rglob("*.qcow2") if file.parent != host.pool]
        counts["outside"] += len(made)
        without = _without_checks(run, host, spec)
    finally:
        host.close()
    for what, count in counts.items():
        if what.startswith(BROKEN):
            run.say(f"{count} clones {what}")
    how = f"{counts['clones']} clones whose request was let in"
    yield at_most("injection: files outside the pool", counts["outside"], 0, how)
    yield at_most("injection: changed XML structure", counts["xml"], 0, f"{how}; and by libvirt")
    yield at_most("injection: changed lines in guests' files", counts["guest"], 0, how)
    yield at_most("injection: clones that broke", counts["broken"], 0, how)
    yield at_most("injection: not the same in the journal", counts["stored"], 0, how)
    yield at_most(
        "injection: module and client worker differ", counts["differ"], 0, "let in by one"
    )
    how = "names not checked"
    yield control("injection: files outside the pool", without["outside"], how)
    yield control("injection: changed XML structure", without["xml"], f"{how}, XML not escaped")
    yield control("injection: changed lines in guests' files", without["guest"], how)


def _others(run: Run, texts: Sequence[str]) -> Iterator[Figure]:
    """Let every other kind of request have each text in each place: to the journal, and tags."""
    host = Host(run.folder / "others")
    journal = Journal(run.folder / "others" / "state")
    counts: Counter[str] = Counter()
    let_in = []
    try:
        for kind, spec in specs():
            if kind == "clone":
                continue
            for path in strings_in(spec):
                wanted = [_let_in(put(spec, path, text), kind) for text in texts]
                let_in += [(kind, each) for each in wanted if each is not None]
        tagged = [each.tags for kind, each in let_in if kind == "tag"]
        counts["xml"] = sum(not host.tag(tags) for tags in set(tagged))
        counts["stored"] = _stored_otherwise(journal, [each for _kind, each in let_in])
        quotes = [text for text in corpus.CORPUS if '"' in text and text.isprintable()]
        with mock.patch.multiple(ET, _escape_attrib=str):
            counts["unescaped"] = sum(not host.tag((text,)) for text in quotes)
    finally:
        host.close()
    how = f"{len(let_in)} requests about vms and images that were let in, {len(tagged)} with tags"
    yield at_most("injection: tags that change more", counts["xml"], 0, how)
    yield at_most("injection: vms and images not the same in the journal", counts["stored"], 0, how)
    how = "tags not checked, XML not escaped"
    yield control("injection: tags that change more", counts["unescaped"], how)


def _let_in(plain: dict, kind: str = "clone") -> Spec | None:
    """Return the spec as the host worker gets it, None if one of the workers refuses it."""
    request = {"id": UUID, "kind": kind, "spec": plain}
    try:
        check("asked", "submit", {"requests": [request]})
        return check("published", "requests", {"requests": [request]})["requests"][0].spec
    except MessageInvalid:
        return None


def _module_refuses(plain: dict) -> bool:
    asked = {name: value for name, value in plain.items() if name != "start"}
    # A task says what an interface's card is in the interface itself.
    both = zip_longest(plain["interfaces"], asked.pop("interface_devices"), fillvalue={})
    asked["interfaces"] = [{**nic, **card} for nic, card in both]
    try:
        want(**asked)
    except MaglicaError:
        return True
    return False


def _unchecked(plain: dict) -> CloneSpec:
    nics = tuple(
        Nic(**{key: _tuple(value) for key, value in nic.items()}) for nic in plain["interfaces"]
    )
    known = {key: _tuple(value) for key, value in plain.items() if key != "interfaces"}
    try:
        known["clone_mode"] = CloneMode(plain["clone_mode"])
    except ValueError:
        known["clone_mode"] = plain["clone_mode"]
    with suppress(ValueError):
        known["customize"] = Customize(plain["customize"])
    known["user"] = User(**{key: _tuple(value) for key, value in plain["user"].items()})
    return CloneSpec(**known, interfaces=nics)


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _compare(host: Host, usual: dict, spec: CloneSpec, path: Path, text: str) -> Counter[str]:
    """Count what differs from the clone that has a harmless string in that place."""
    counts: Counter[str] = Counter()
    plain = put(usual, path, harmless(text, at(usual, path)))
    expected = host.effects(_unchecked(plain), UUID)
    try:
        found: Effects = host.effects(spec, UUID)
    except ET.ParseError:
        counts["xml"] += 1
    except Exception as error:  # noqa: BLE001 - it must be counted
        counts["broken"] += 1
        counts[f"{BROKEN}{error!r:.300}"] += 1
    else:
        counts["outside"] += host.outside(expected, found) > 0
        counts["xml"] += found.xml_shape != expected.xml_shape
        counts["guest"] += found.guest_shape != expected.guest_shape
    return counts


def _without_checks(run: Run, host: Host, spec: dict) -> Counter[str]:
    """Compare clones of texts that have what it takes to break out of where they are put."""
    texts = corpus.strings(str(run.folder / "mark"))
    lines = [text for text in texts if "\n" in text]
    dangerous: dict[Path, list[str]] = {
        ("name",): [text for text in texts if "/" in text or "<" in text],
        ("interfaces", 0, "search", 0): lines,
        ("ssh_authorized_keys", 0): lines,
    }
    counts: Counter[str] = Counter()
    with mock.patch.multiple(ET, _escape_cdata=str, _escape_attrib=str):
        for path, those in dangerous.items():
            for text in those:
                changed = _unchecked(put(spec, path, text))
                counts.update(_compare(host, spec, changed, path, text))
    return counts


def _stored_otherwise(journal: Journal, wanted: Sequence[Spec]) -> int:
    """Count the specs that a journal does not give back as they were."""
    requests = [
        Request(f"{number:08x}-0000-4000-8000-000000000000", spec)
        for number, spec in enumerate(wanted)
    ]
    journal.accept(requests)
    entries = {request: journal.entry(request.id) for request in requests}
    return sum(not entry or entry.request.spec != each.spec for each, entry in entries.items())
