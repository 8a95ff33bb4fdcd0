# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each block of README and docs is run by a test, or it is said why not; some are run here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from maglica.config import config
from maglica.config.config import Config
from maglica.domain import image_metadata
from maglica.domain.definition import describe, parse
from maglica.domain.image_metadata import ImageRecord
from maglica.fleet.source import Access, Source
from maglica.model.image import image_uuid
from maglica.model.memory_limit import MemoryLimit
from maglica.wire import keys
from support import role_variables
from support.document_examples import PLUGINS, ROWS, Not, Row
from support.documents import CHECKOUT, DOCUMENTS, Block, block, blocks
from support.domains import domain
from support.role_templates import ROLES, render

README, IMAGES = "README.md", "docs/images.md"
REQUEST = "00000000-0000-4000-8000-000000000002"
DIGITS = f"sha256:{'0a' * 32}"


def rows_of(each: Block) -> list[Row]:
    fenced = f"```{each.kind}\n{each.text}"
    return [row for row in ROWS if row[0] == each.document and str(row[1]) in fenced]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_is_in_one_row(document: str) -> None:
    for each in blocks(document):
        assert len(rows_of(each)) == 1, each


def test_each_row_is_of_a_block() -> None:
    used = [row for document in DOCUMENTS for each in blocks(document) for row in rows_of(each)]
    assert [row for row in ROWS if row not in used] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_row_names_is_there(document: str) -> None:
    for row in (row for row in ROWS if row[0] == document):
        assert row[2:]
        assert_there(run for run in row[2:] if not isinstance(run, Not))


def test_each_plugin_s_examples_are_run() -> None:
    sources = (CHECKOUT / "plugins").glob("*/maglica*.py")
    shown = [path for path in sources if "\nEXAMPLES = " in path.read_text(encoding="utf-8")]
    assert {f"{path.parent.name}/{path.stem}" for path in shown} == PLUGINS.keys()
    assert_there(PLUGINS.values())


def assert_there(tests: Iterable[str]) -> None:
    for file, function in (each.split("::") for each in tests):
        text = (CHECKOUT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), function


def test_what_is_installed_is_what_is_built() -> None:
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    archive = "build/{namespace}-{name}-{version}.tar.gz".format(**galaxy)
    assert block(README, "ansible-galaxy").commands == [
        ["make", "build"],
        ["ansible-galaxy", "collection", "install", archive],
    ]
    (needed,) = (
        words[2]
        for words in block(README, "pip install").commands
        if words[:2] == ["pip", "install"]
    )
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    assert f"{needed}.0" == f"ansible-core{runtime['requires_ansible']}"


def test_the_inventory_says_what_the_roles_read() -> None:
    said = block(README, "# hosts.yml").value
    hosts = {name: known or {} for name, known in said["maglica_hosts"]["hosts"].items()}
    told = {option for role in ROLES.iterdir() for option in role_variables.options(role)}
    assert {name for known in hosts.values() for name in known} <= told
    everywhere = {name: {**said["all"]["vars"], **known} for name, known in hosts.items()}

    def read(role: str, file: str) -> Config:
        given = {"hostvars": everywhere, "certificates_answer": {"hosts": list(everywhere)}}
        return config.parse(render(role, file, **given), Path("/etc/maglica/x.conf"))

    written = read("library", "maglica.conf.j2")
    assert [(host.name, host.uri, host.weight) for host in written.hosts] == [
        ("kvm0.example.jp", "qemu+tls://kvm0.example.jp/system?pkipath=/etc/maglica/pki", 1),
        ("kvm1.example.jp", "qemu+ssh://root@kvm1.example.jp/system", 2),
    ]
    worker = read("client_worker", "client_worker.conf.j2")
    limits = [worker.need_client_worker_service().memory_limit(host) for host in worker.hosts]
    assert limits == [MemoryLimit(1.0, 512), MemoryLimit(1.5, 512)]


def test_the_configuration_without_hosts_asks_the_client_worker() -> None:
    shown = block(README, "[client_worker]").text
    read = config.parse(shown, Path("/home/alice/.config/maglica/maglica.conf"))
    assert Access(read, Source.AUTO).chosen() is Source.CLIENT_WORKER


def test_the_key_of_an_observer(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    typed = "\n".join(
        line.removeprefix("$ ") for line in block("docs/security.md", "umask").text.splitlines()
    )
    done = subprocess.run(
        ["bash", "-ec", typed],
        cwd=tmp_path,
        env={"PATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    pair = keys.read(tmp_path / "library.key")
    assert pair.public.decode() == done.stdout.strip()


def recorded(element: str) -> ImageRecord:
    metadata = f"<metadata>{element}</metadata>"
    found = describe(domain(outside=metadata, uuid=image_uuid(REQUEST))).image
    assert found is not None
    return found


def names(element: ET.Element) -> list[tuple[str, list[str]]]:
    """The elements from this one on, with their attributes."""
    return [(each.tag, sorted(each.attrib)) for each in element.iter()]


def test_the_record_of_an_image_is_read_and_written_so() -> None:
    shown = block(IMAGES, "<maglica:version").text
    filled = shown.replace('request="…"', f'request="{REQUEST}"').replace("sha256:…", DIGITS)
    record = recorded(filled.replace('"…"', '"/pool/a"'))
    assert record.newest.origin == "https://images.example.jp/debian-13.qcow2"
    root = parse(domain(uuid=image_uuid(REQUEST)))
    image_metadata.write(root, record)
    whole = ET.fromstring(ET.tostring(root))
    (written,) = (each for each in whole.iter() if each.tag.endswith("}image"))
    assert names(written) == names(ET.fromstring(shown))


def test_what_is_recorded_by_hand_is_read() -> None:
    words = shlex.split(block(IMAGES, "virsh metadata").text.replace("\\\n", ""))
    key, element = words[words.index("--key") + 1], words[words.index("--set") + 1]
    # As virsh puts it below <metadata>.
    put = element.replace("<image", f"<{key}:image xmlns:{key}='{words[3]}'")
    newest = recorded(put.replace("sha256:…", DIGITS)).newest
    assert (newest.checksum, newest.origin) == (DIGITS, "https://…")
