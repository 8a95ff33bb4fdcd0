# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maglica.config import config
from maglica.image import catalog
from maglica.image.checksum import Checksum, SumsFile
from maglica.model.errors import ConfigInvalid
from maglica.model.image import Firmware
from maglica.model.memory_limit import MemoryLimit

FILE = Path("/etc/maglica/maglica.conf")
URL = "https://example.com/images/a.qcow2?version=3%20"
SUM = "sha256:" + "a" * 64
IMAGE = f"[image a]\nurl = {URL}\nchecksum = {SUM}\n"
KEY = "a=#:%0$rq571V.-+^!/*?&<>()0[]{}0@%$0#123"
FULL = f"""\
# the whole of it
[client_worker]
address = client.example.jp
publish_port = 6555
request_port = 6556
public_key = {KEY}

[client_worker_service]
bind = 192.0.2.1
secret_key_file = client_worker.key
access_file = /srv/access
journal = journal.sqlite
host_timeout = 7.5
retention = 3600
memory_overcommit = 1.5
memory_reserve = 1024
imports_at_once = 2

[library]
secret_key_file = library.key

[host_worker]
name = kvm0.example.jp
secret_key_file = host_worker.key
uri = qemu:///session
state_dir = state
hello_interval = 2
clone_jobs = 2
quick_jobs = 8
accel = tcg
image_pattern = .*\\.original
pools = default, fast
  slow
adopt = no

[host kvm0.example.jp]
uri = qemu+tcp://kvm0.example.jp/system
weight = 2.5
memory_overcommit = 2
memory_reserve = 0
[host kvm1.example.jp]
uri = qemu+tcp://kvm1.example.jp/system
"""


def test_a_file_with_everything() -> None:
    read = config.parse(FULL, FILE)
    folder = FILE.parent
    assert read.client_worker == config.ClientWorker("client.example.jp", 6555, 6556, KEY)
    assert read.client_worker_service == config.ClientWorkerService(
        folder / "client_worker.key",
        Path("/srv/access"),
        folder / "journal.sqlite",
        "192.0.2.1",
        7.5,
        3600,
        1.5,
        1024,
        2,
    )
    assert read.library == config.Library(folder / "library.key")
    worker = read.need_host_worker()
    assert (worker.name, worker.uri, worker.accel) == ("kvm0.example.jp", "qemu:///session", "tcg")
    assert (worker.clone_jobs, worker.quick_jobs, worker.hello_interval) == (2, 8, 2)
    assert worker.state_dir == folder / "state"
    assert worker.image_pattern
    assert worker.image_pattern.fullmatch("debian12.original")
    assert worker.pools == ("default", "fast", "slow")
    assert not worker.adopt
    assert read.hosts == (
        config.HostEntry("kvm0.example.jp", "qemu+tcp://kvm0.example.jp/system", 2.5, 2.0, 0),
        config.HostEntry("kvm1.example.jp", "qemu+tcp://kvm1.example.jp/system", 1),
    )


def test_a_user_s_own_images() -> None:
    sums = "https://example.com/SHA256SUMS"
    read = config.parse(
        f"{IMAGE}firmware = uefi\nuser = admin\nformat = raw\nnotes = ours, see the wiki\n"
        f"[image debian-13]\nurl = {URL}\nchecksum = sha512:{sums}\n",
        FILE,
    )
    assert read.images == (
        catalog.Entry(
            *("a", URL, Checksum("sha256", "a" * 64)),
            *(Firmware.UEFI, "admin", "raw", "ours, see the wiki"),
        ),
        catalog.Entry("debian-13", URL, SumsFile(sums, "sha512")),
    )
    assert config.parse(FULL, FILE).images == ()


def test_defaults_are_those_of_the_design() -> None:
    read = config.parse(
        "[client_worker]\naddress=192.0.2.1\n"
        "[client_worker_service]\nsecret_key_file=k\naccess_file=a\n[host kvm0]\n",
        FILE,
    )
    assert read.client_worker == config.ClientWorker("192.0.2.1", 5555, 5556, None, False)
    service = read.need_client_worker_service()
    assert (service.bind, service.host_timeout, service.retention) == ("0.0.0.0", 15, 604800)
    assert (read.library, read.host_worker) == (None, None)
    assert read.hosts == (config.HostEntry("kvm0", "qemu+ssh://kvm0/system", 1),)


def test_a_host_s_own_memory_limit_comes_before_that_of_all() -> None:
    read = config.parse(FULL, FILE)
    limits = [read.need_client_worker_service().memory_limit(host) for host in read.hosts]
    assert limits == [MemoryLimit(2.0, 0), MemoryLimit(1.5, 1024)]
    assert [limit.of(8192) for limit in limits] == [16384, 10752]
    service = config.ClientWorkerService(FILE, FILE)
    assert service.memory_limit(config.HostEntry("a", "a://")) == MemoryLimit(1.0, 512)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "1: stands before the first [section]"),
        ("[library", "1: stands before the first [section]"),
        ("[library]\nhello", "2: neither a [section] nor an 'option = value'"),
        ("[library]\n= x", "2: neither a [section] nor an 'option = value'"),
        ("[library]\n[library]", "2: [library]: twice"),
        ("[host a]\nuri=a://\nuri=b://", "3: [host a] uri: twice"),
        ("[host a]\nuri=a://\n[host  a]\nuri=b://", "3: [host  a]: twice"),
        ("#\n[nonsense]", "2: [nonsense]: there is no such section"),
        ("[DEFAULT]\nx = 1", "1: [DEFAULT]: there is no such section"),
        ("[host]\nuri = a://", "1: [host]: there is no such section"),
        ("[host a/b]\nuri = a://", "1: [host a/b]: 'a/b' is not a valid name"),
        ("[host a]\nuri = a://\n\nwight = 1", "4: [host a] wight: there is no such option"),
        ("[host a]\nuri = qemu", "2: [host a] uri: 'qemu' is not a libvirt URI"),
        ("[host a]\nuri = a://b c", "2: [host a] uri: 'a://b c' is not a libvirt URI"),
        ("[host a]\nuri=a://\nweight = 0", "3: [host a] weight: '0' is not a number above 0"),
        ("[host a]\nuri=a://\nweight = -1", "3: [host a] weight: '-1' is not a number above 0"),
        ("[host a]\nuri=a://\nweight = nan", "3: [host a] weight: 'nan' is not a number above 0"),
        ("[host a]\nuri=a://\nweight = 1e9", "3: [host a] weight: '1e9' is not a number above 0"),
        (
            "[host a]\nuri=a://\nmemory_overcommit = 0",
            "3: [host a] memory_overcommit: '0' is not a number above 0",
        ),
        (
            "[client_worker_service]\nmemory_reserve = 1G",
            "2: [client_worker_service] memory_reserve: '1G' is not a whole number from 0 to",
        ),
        ("[library]", "1: [library]: option secret_key_file is missing"),
        ("[library]\nsecret_key_file =", "2: [library] secret_key_file: no path"),
        (
            "[client_worker]\naddress = a b",
            "2: [client_worker] address: 'a b' is not a valid host name",
        ),
        ("[client_worker]\naddress = 192.0.2.256", "2: [client_worker] address: '192.0.2.256'"),
        (
            "[client_worker]\naddress=a\nrequest_port = 65536",
            "3: [client_worker] request_port: '65536' is not a whole number from 1 to 65535",
        ),
        (
            "[client_worker]\naddress=a\nrequest_port = ٣",
            "3: [client_worker] request_port: '٣' is not a whole number",
        ),
        (
            "[client_worker]\naddress=a\npublic_key = short",
            "3: [client_worker] public_key: not a key of 40 Z85 characters",
        ),
        (
            f"[client_worker]\naddress=a\npublic_key = {'#' * 40}",
            "3: [client_worker] public_key: not a key: '#####' is not Z85",
        ),
        (
            "[client_worker]\naddress=a\ninsecure = maybe",
            "3: [client_worker] insecure: 'maybe' is neither yes nor no",
        ),
        (
            "[client_worker]\naddress = 192.0.2.1\ninsecure = yes",
            "3: [client_worker] insecure: refused, because 192.0.2.1 is no loopback address",
        ),
        (
            "[client_worker]\naddress = ::1\ninsecure = yes\n"
            "[client_worker_service]\nsecret_key_file=k\naccess_file=a\nbind = 0.0.0.0",
            "7: [client_worker_service] bind: insecure is refused on 0.0.0.0",
        ),
        (
            "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
            "[client_worker_service]\nsecret_key_file=k\naccess_file=a",
            "4: [client_worker_service] bind: insecure is refused on 0.0.0.0",
        ),
        (
            "[client_worker]\naddress = a\n[library]\nsecret_key_file=k",
            "1: [client_worker]: option public_key is missing",
        ),
        (
            "[client_worker_service]\nsecret_key_file=k\naccess_file=a\nbind = localhost",
            "4: [client_worker_service] bind: 'localhost' does not appear to be",
        ),
        ("[host_worker]\nname = a b", "2: [host_worker] name: 'a b' is not a valid name"),
        ("[host_worker]\naccel = xen", "2: [host_worker] accel: 'xen' is none of auto, kvm, tcg"),
        (
            "[host_worker]\nimage_pattern = (",
            "2: [host_worker] image_pattern: not a regular expression",
        ),
        ("[host_worker]\npools = a, b/c", "2: [host_worker] pools: 'b/c' is not a valid name"),
        ("[image]\nurl = https://example.com/a", "1: [image]: there is no such section"),
        (f"[image a/b]\nurl = {URL}", "1: [image a/b]: 'a/b' is not a valid name"),
        (f"[image a]\nurl = {URL}", "1: [image a]: option checksum is missing"),
        (f"[image a]\nchecksum = {SUM}\nurl = /srv/a", "3: [image a] url: '/srv/a' is not a web"),
        (
            f"[image a]\nurl = {URL}\nchecksum = md5:a",
            "3: [image a] checksum: 'md5:a' is not a check",
        ),
        (IMAGE + "firmware = efi", "4: [image a] firmware: 'efi' is none of bios, uefi"),
        (IMAGE + "format = vmdk", "4: [image a] format: 'vmdk' is none of qcow2, raw"),
        (IMAGE + "user = a b", "4: [image a] user: 'a b' is not a valid name"),
        (IMAGE + "notes = a\x07", "4: [image a] notes: has a control character"),
        (f"{IMAGE}[image  a]\nurl = {URL}\nchecksum = {SUM}", "4: [image  a]: twice"),
        (
            "[image a]\nurl = https://example.com/\nchecksum = https://example.com/sums",
            "1: [image a]: https://example.com/ names no file that a file of sums could list",
        ),
        ("[host_worker]\nclone_jobs = 0", "2: [host_worker] clone_jobs: '0' is not a whole number"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigInvalid) as error:
        config.parse(text, FILE)
    assert str(error.value).startswith(f"{FILE}:{problem}")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_insecure_is_for_loopback(address: str) -> None:
    text = f"[client_worker]\naddress = {address}\ninsecure = yes\n[library]\nsecret_key_file=k"
    assert config.parse(text, FILE).need_client_worker().insecure


@pytest.mark.parametrize(
    "section", ["client_worker", "client_worker_service", "library", "host_worker"]
)
def test_a_missing_section_is_told_when_it_is_needed(section: str) -> None:
    with pytest.raises(ConfigInvalid, match=rf"maglica.conf: section \[{section}\] is missing"):
        getattr(config.parse("", FILE), f"need_{section}")()


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "maglica.conf"
    path.write_text("[library]\r\nsecret_key_file = library.key\r\n")
    assert config.load(str(path)).library == config.Library(tmp_path / "library.key")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"cannot read .*none.conf: No such file"):
        config.load(tmp_path / "none.conf")
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match=r"cannot read .*binary.conf: it is not UTF-8"):
        config.load(binary)


def test_the_default_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAGLICA_CONFIG", raising=False)
    assert config.default_path() == "/etc/maglica/maglica.conf"
    monkeypatch.setenv("MAGLICA_CONFIG", "/tmp/other.conf")
    assert config.default_path() == "/tmp/other.conf"


@given(st.text() | st.lists(st.sampled_from([*FULL.split("\n"), "[", "=", " x"])).map("\n".join))
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        config.parse(text, FILE)
    except ConfigInvalid as error:
        line = str(error).removeprefix(f"{FILE}:").split(":")[0]
        assert 1 <= int(line) <= text.count("\n") + 1
