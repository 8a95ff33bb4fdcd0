# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones on a real libvirtd, and a look into their disks; then a changed image, and one more."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from maglica.host_worker import channel
from maglica.host_worker.job.image import unused_bases
from maglica.model.request import CloneMode, Nic, Request, State, User
from support.guest import MACHINE_ID, Disk
from support.process_spy import ProcessSpy

from .conftest import IMAGE, Host

# Appliances without KVM take their time.
pytestmark = pytest.mark.timeout(600)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINEW me"
PASSWORD = "$6$saltsalt$hashhashhash"
VNC_PASSWORD = "v7Qx2mKd"
VNC = f"<graphics type='vnc' autoport='yes' listen='127.0.0.1' passwd='{VNC_PASSWORD}'/>"
PRIVATE_KEY = "PRIVATE KEY"
STATIC = Nic(
    mac="52:54:00:aa:bb:cc",
    addresses=("192.0.2.7/24", "2001:db8::7/64"),
    gateways=("192.0.2.1",),
    nameservers=("192.0.2.54",),
)
USER = User("alice", ("adm",), None, None, (KEY,), PASSWORD)
LINKED, FULL, OTHER = "web0.example.jp", "web1.example.jp", "web2.example.jp"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def original(host: Host) -> dict[str, object]:
    status = (host.folder / "image.raw").stat()
    return {"digest": digest(host.folder / "image.raw"), "mtime": status.st_mtime_ns}


@pytest.fixture(scope="module")
def launches() -> list[str]:
    return []


@pytest.fixture(scope="module")
def logged() -> list[str]:
    return []


@contextlib.contextmanager
def kept(name: str, level: int, lines: list[str]) -> Iterator[None]:
    """Keep what is logged under a name during the block."""
    handler = logging.Handler(level)
    handler.emit = lambda record: lines.append(handler.format(record))
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.fixture(scope="module")
def done(
    host: Host, original: dict[str, object], launches: list[str], logged: list[str]
) -> dict[str, Request]:
    """Three clones, made as one batch."""
    xml = host.connection.lookupByName(IMAGE).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    host.connection.defineXML(xml.replace("</devices>", f"{VNC}</devices>"))
    secrets = (PASSWORD, VNC_PASSWORD, PRIVATE_KEY)
    with (
        kept("maglica.guest", logging.INFO, launches),
        kept("maglica", logging.DEBUG, logged),
        ProcessSpy(*map(str.encode, secrets)) as spy,
    ):
        requests = host.run(
            host.request(LINKED, start=True),
            host.request(FULL, clone_mode=CloneMode.FULL, interfaces=(STATIC,)),
            host.request(OTHER, ssh_authorized_keys=(KEY,), root_password=PASSWORD, user=USER),
        )
    # Not in the arguments of an appliance or of qemu-img.
    assert spy.seen == set()
    return {request.name: request for request in requests}


@pytest.fixture(scope="module")
def disks(host: Host, done: dict[str, Request]) -> dict[str, Disk]:
    return {
        name: Disk(request.vm.disks[0].source, host.folder / f"{name}.look")
        for name, request in done.items()
    }


def test_all_are_done(host: Host, done: dict[str, Request]) -> None:
    for request in done.values():
        assert request.state is State.DONE, request.failure
        names = [phase.name for phase in request.phases]
        assert names == ["base", "copy", "customize", "define", "start"]
        assert host.context.journal.intents(request.id) == ()
    assert done[LINKED].vm.state == "running"
    assert done[FULL].vm.state == "stopped"
    assert host.connection.lookupByName(LINKED).isActive()


def test_secrets_are_in_the_guests_and_definitions_only(
    host: Host, done: dict[str, Request], disks: dict[str, Disk], logged: list[str]
) -> None:
    secrets = {PASSWORD, VNC_PASSWORD, PRIVATE_KEY}
    for disk in disks.values():
        lines = disk.text("/etc/ssh/ssh_host_ed25519_key").splitlines()
        assert PRIVATE_KEY in lines[0]
        secrets.update(lines[1:-1])
    defined = host.connection.lookupByName(OTHER).XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    assert VNC_PASSWORD in defined
    places = {str(path): path for path in host.folder.glob("state/**/*") if path.is_file()}
    texts = {name: path.read_bytes() for name, path in places.items()}
    texts["the log"] = "\n".join(logged).encode()
    texts["progress"] = b"".join(map(channel.line, host.said))
    texts["results"] = repr(done).encode()
    assert all(done[LINKED].id.encode() in texts[name] for name in ("results", "progress"))
    assert "appliance launched" in "".join(logged)
    assert not [
        (name, secret)
        for name, text in texts.items()
        for secret in secrets
        if secret.encode() in text
    ]


def test_an_appliance_for_the_base_and_for_who_sets_a_password_or_has_a_user(
    done: dict[str, Request], launches: list[str]
) -> None:
    assert kinds(launches) == [
        "appliance launched: drives=1",
        "guest inspected",
        "areas found",
        "guest needs an appliance",
        "guest customized by areas",
        "guest customized by areas",
        "areas written",
        "appliance launched: drives=1",
        "guest customized",
    ]


def kinds(messages: list[str]) -> list[str]:
    pattern = re.compile(r"appliance launched: drives=\d+|guest inspected|[a-z ]+(?=:)")
    return [match[0] for match in map(pattern.match, messages) if match]


def test_a_clone_of_a_base_that_is_there_launches_no_appliance(
    host: Host, done: dict[str, Request], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "maglica.guest")
    (quick,) = host.run(host.request("quick.example.jp", ssh_authorized_keys=(KEY,)))
    assert quick.state is State.DONE, quick.failure
    assert kinds(caplog.messages) == ["guest customized by areas", "areas written"]
    disk = Disk(quick.vm.disks[0].source, host.folder / "quick.look")
    assert disk.text("/etc/hostname") == "quick.example.jp\n"
    assert Path(quick.vm.disks[0].source).stat().st_blocks * 512 < 4 << 20
    host.connection.lookupByName("quick.example.jp").undefine()
    Path(quick.vm.disks[0].source).unlink()


def test_the_original_is_unchanged_and_free(
    host: Host, done: dict[str, Request], original: dict[str, object]
) -> None:
    path = host.folder / "image.raw"
    assert {"digest": digest(path), "mtime": path.stat().st_mtime_ns} == original
    image = host.connection.lookupByName("debian.original")
    image.create()
    image.destroy()


def test_volumes(host: Host, done: dict[str, Request]) -> None:
    (base,) = host.context.journal.bases()
    names = [Path(request.vm.disks[0].source).name for request in done.values()]
    assert host.files() == sorted([*names, base.disks[0].name])
    base_path = base.disks[0].path
    assert Path(base_path).stat().st_mode & 0o777 == 0o400
    used = [
        name for name, request in done.items() if base_path in chain_of(request.vm.disks[0].source)
    ]
    assert used == [LINKED, OTHER]


def chain_of(path: str) -> str:
    command = ["qemu-img", "info", "-U", "-f", "qcow2", "--backing-chain", path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", [LINKED, FULL, OTHER])
def test_identity(disks: dict[str, Disk], done: dict[str, Request], name: str) -> None:
    disk, short = disks[name], name.partition(".")[0]
    assert disk.text("/etc/hostname") == f"{name}\n"
    assert disk.text("/etc/hosts") == (
        f"127.0.0.1 localhost\n127.0.1.1\t{name} {short}\n192.0.2.99 other\n192.0.2.10\tdb\n"
    )
    assert re.fullmatch(r"[0-9a-f]{32}\n", disk.text("/etc/machine-id"))
    assert disk.text("/etc/machine-id").strip() != MACHINE_ID
    assert disk.text("/var/lib/dhcp/dhclient.eth0.leases") == ""
    assert disk.names("/etc/udev/rules.d") == ["70-maglica-net.rules"]
    assert done[name].vm.interfaces[0].mac in disk.text("/etc/udev/rules.d/70-maglica-net.rules")
    assert disk.names("/etc/network/interfaces.d") == []
    assert "old seed" not in disk.text("/var/lib/systemd/random-seed")
    assert "gethostname()" in disk.text("/etc/dhcp/dhclient.conf")


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/hostname", "0644 0 0"),
        ("/etc/machine-id", "0444 0 0"),
        ("/etc/ssh/ssh_host_ed25519_key", "0600 0 0"),
        ("/etc/ssh/ssh_host_ecdsa_key.pub", "0644 0 0"),
        ("/var/lib/systemd/random-seed", "0600 0 0"),
        ("/root/.ssh/authorized_keys", "0600 0 0"),
    ],
)
def test_modes(disks: dict[str, Disk], path: str, mode: str) -> None:
    assert disks[OTHER].mode(path) == mode


def test_no_two_are_the_same(disks: dict[str, Disk], done: dict[str, Request]) -> None:
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ecdsa_key", "/var/lib/systemd/random-seed"):
        assert len({disk.text(path) for disk in disks.values()}) == 3
    assert len({request.vm.interfaces[0].mac for request in done.values()}) == 3


@pytest.mark.parametrize("name", [LINKED, FULL, OTHER])
def test_ssh_host_keys_are_real_and_told(
    disks: dict[str, Disk], done: dict[str, Request], tmp_path: Path, name: str
) -> None:
    told = []
    for kind in ("ecdsa", "ed25519"):
        key = tmp_path / kind
        key.write_text(disks[name].text(f"/etc/ssh/ssh_host_{kind}_key"))
        key.chmod(0o600)
        public = subprocess.run(
            ["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=True
        ).stdout.strip()
        assert disks[name].text(f"/etc/ssh/ssh_host_{kind}_key.pub").strip() == public
        told.append(" ".join(public.split()[:2]))
    assert done[name].vm.ssh_host_keys == tuple(told)
    assert not (tmp_path / "keys").exists()


def test_networks(disks: dict[str, Disk], done: dict[str, Request]) -> None:
    assert "allow-hotplug eth0\niface eth0 inet dhcp\n    mtu 1400\niface eth0 inet6 auto" in (
        disks[LINKED].text("/etc/network/interfaces")
    )
    static = disks[FULL].text("/etc/network/interfaces")
    assert "iface eth0 inet static\n    address 192.0.2.7/24\n    gateway 192.0.2.1\n" in static
    assert "iface eth0 inet6 static\n    address 2001:db8::7/64\n" in static
    assert disks[FULL].text("/etc/resolv.conf") == "nameserver 192.0.2.54\n"
    assert disks[LINKED].text("/etc/resolv.conf") == "nameserver 192.0.2.53\n"
    assert done[FULL].vm.interfaces[0].mac == STATIC.mac


def test_access(disks: dict[str, Disk]) -> None:
    kept = "ssh-ed25519 AAAAKEPT admin\n"
    assert disks[OTHER].text("/root/.ssh/authorized_keys") == f"{kept}{KEY}\n"
    assert disks[LINKED].text("/root/.ssh/authorized_keys") == kept
    assert disks[OTHER].text("/etc/shadow").startswith(f"root:{PASSWORD}:2")
    assert disks[LINKED].text("/etc/shadow").startswith("root:*:19000:")
    assert disks[OTHER].mode("/etc/shadow") == disks[LINKED].mode("/etc/shadow")


def test_a_user_is_made_for_who_asks(disks: dict[str, Disk]) -> None:
    other, home = disks[OTHER], "/home/alice"
    assert other.text("/etc/passwd").endswith("\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    assert f"\nalice:{PASSWORD}:2" in other.text("/etc/shadow")
    assert other.text("/etc/group").endswith("\nalice:x:1000:\nadm:x:1001:alice\n")
    assert other.text(f"{home}/.ssh/authorized_keys") == f"{KEY}\n"
    assert other.mode(f"{home}/.ssh/authorized_keys") == "0600 1000 1000"
    assert (other.mode(home), other.mode("/home")) == ("0700 1000 1000", "0755 0 0")
    assert "alice" not in disks[LINKED].text("/etc/passwd")


@pytest.mark.parametrize("name", [LINKED, FULL, OTHER])
def test_file_systems_are_sound(disks: dict[str, Disk], name: str) -> None:
    assert disks[name].problems() == ""
    assert disks[name].text("/etc/late") == "written last\n"


def test_a_changed_image_makes_a_new_base_and_old_clones_live_on(
    host: Host, done: dict[str, Request], disks: dict[str, Disk]
) -> None:
    path = host.folder / "image.raw"
    subprocess.run(["e2fsck", "-fy", str(path)], check=False, capture_output=True)
    command = ["debugfs", "-w", "-R", f"write {host.folder / 'tree/etc/passwd'} /etc/added"]
    subprocess.run([*command, str(path)], check=True, capture_output=True)
    before = {name: disk.text("/etc/hostname") for name, disk in disks.items()}
    (late,) = host.run(host.request("late.example.jp"))
    assert late.state is State.DONE, late.failure
    looked = Disk(late.vm.disks[0].source, host.folder / "late.look")
    assert looked.text("/etc/added").startswith("root:")
    assert looked.problems() == ""
    for name, request in done.items():
        again = Disk(request.vm.disks[0].source, host.folder / f"{name}.again")
        assert again.text("/etc/hostname") == before[name]
        assert again.text("/etc/added") == ""
    assert len(host.context.journal.bases()) == 2
    unused_bases.collect(host.context)
    assert len(host.context.journal.bases()) == 2
