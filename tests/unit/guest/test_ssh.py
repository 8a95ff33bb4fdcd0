# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH host keys of a guest at any place: made anew, removed, or a reason to refuse the image."""

from __future__ import annotations

import pytest
from maglica.guest.base_plan import clean
from maglica.guest.edits import apply
from maglica.guest.facts import Mount
from maglica.guest.filesystem import Kind
from maglica.guest.inspect import OperatingSystem, examine
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True)
CONFIG = "/etc/ssh/sshd_config"


def guest(**files: str) -> FakeFilesystem:
    made = FakeFilesystem(debian.FILES)
    for path, text in files.items():
        made.add_file(path, text)
    return made


def refusal(made: FakeFilesystem) -> str:
    with pytest.raises(GuestUnsupported) as told:
        examine(made, SYSTEM)
    return str(told.value)


@pytest.mark.parametrize(
    ("files", "config"),
    [
        ({CONFIG: "HostKey /etc/ssh/keys/ed25519\n"}, CONFIG),
        ({CONFIG: 'Port 22\n  hostkey="/etc/ssh/keys/ed25519" # ours\n'}, CONFIG),
        ({CONFIG: "HostKey keys/ed25519\n"}, CONFIG),
        ({CONFIG: "HostKey '/etc/ssh/../ssh/keys/ed25519'\n"}, CONFIG),
        (
            {CONFIG: "Include {a}.conf\n", "/etc/ssh/{a}.conf": "HostKey /etc/ssh/keys/ed25519"},
            "/etc/ssh/{a}.conf",
        ),
        (
            {
                CONFIG: "Include sshd_config.d/*.conf\n",
                "/etc/ssh/sshd_config.d/a.conf": "HostKey /etc/ssh/keys/ed25519",
            },
            "/etc/ssh/sshd_config.d/a.conf",
        ),
        (
            {
                CONFIG: "Include /srv/a /srv/b\n",
                "/srv/b": f"Include /srv/c {CONFIG}\n",
                "/srv/c": "HostKey /etc/ssh/keys/ed25519",
            },
            "/srv/c",
        ),
        (
            {"/usr/local/etc/sshd_config": "HostKey /etc/ssh/keys/ed25519\n"},
            "/usr/local/etc/sshd_config",
        ),
    ],
)
def test_a_key_at_another_place_refuses_the_image(files: dict[str, str], config: str) -> None:
    told = refusal(guest(**files, **{"/etc/ssh/keys/ed25519": "private"}))
    assert f"SSH host key '/etc/ssh/keys/ed25519' (named by {config})" in told
    assert "each clone would share" in told
    assert "Use /etc/ssh/ssh_host_ed25519_key in the image" in told


@pytest.mark.parametrize(
    "path",
    [
        "/etc/dropbear/dropbear_ed25519_host_key",
        "/etc/dropbear/initramfs/dropbear_rsa_host_key",
        "/etc/dropbear-initramfs/dropbear_rsa_host_key",
        "/usr/local/etc/ssh_host_rsa_key",
    ],
)
def test_keys_of_other_servers_refuse_the_image(path: str) -> None:
    assert f"SSH host key '{path}'" in refusal(guest(**{path: "private"}))


@pytest.mark.parametrize("options", ["-h /srv/key", "-o HostKey=/srv/key", "-4 -oHostKey=/srv/k"])
def test_keys_named_in_arguments_refuse_the_image(options: str) -> None:
    told = refusal(guest(**{"/etc/default/ssh": f"# x\nSSHD_OPTS='{options}'\n"}))
    assert "named by /etc/default/ssh" in told


@pytest.mark.parametrize("text", ["SSHD_OPTS=\n", "SSHD_OPTS='-u0 -o Port=23'\n", "# -h /key\n"])
def test_other_arguments_are_no_reason(text: str) -> None:
    assert examine(guest(**{"/etc/default/ssh": text}), SYSTEM)


@pytest.mark.parametrize(
    ("config", "types"),
    [
        ("#HostKey /etc/ssh/keys/rsa\n", ("ecdsa", "ed25519")),
        ("HostKey /etc/ssh/keys/not-there\n", ("ecdsa", "ed25519")),
        ("HostKey /etc/ssh/ssh_host_rsa_key\n", ("ecdsa", "ed25519", "rsa")),
        ("HostKey ssh_host_rsa_key\n", ("ecdsa", "ed25519", "rsa")),
        ("HostKey ssh_host_dsa_key\nHostKey ssh_host_ecdsa_key\n", ("ecdsa", "ed25519")),
    ],
)
def test_named_keys_are_made(config: str, types: tuple[str, ...]) -> None:
    assert examine(guest(**{CONFIG: config}), SYSTEM).facts.ssh_host_keys == types


def test_a_key_that_only_the_configuration_names_is_made() -> None:
    made = guest(**{CONFIG: "HostKey /etc/ssh/ssh_host_ed25519_key\n"})
    made.remove("/etc/ssh/ssh_host_ed25519_key")
    assert examine(made, SYSTEM).facts.ssh_host_keys == ("ecdsa", "ed25519")


@pytest.mark.parametrize("key", ["dsa", "custom"])
def test_a_server_that_would_be_without_keys_refuses_the_image(key: str) -> None:
    told = refusal(guest(**{CONFIG: f"HostKey /etc/ssh/ssh_host_{key}_key\n"}))
    assert f"names no host key but '/etc/ssh/ssh_host_{key}_key', which is not made anew" in told


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/default/ssh", "SSHD_OPTS='-f /srv/sshd_config'\n"),
        ("/etc/systemd/system/ssh.service.d/a.conf", "ExecStart=/usr/sbin/sshd -D -h /srv/key\n"),
        ("/etc/systemd/system/ssh-own.service", "ExecStart=/usr/sbin/sshd -D -f /srv/config\n"),
        ("/etc/cloud/cloud.cfg.d/keys.cfg", "#cloud-config\nssh_keys:\n  ed25519_private: a\n"),
        ("/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\nssh_keys: {}\n"),
    ],
)
def test_keys_given_in_other_ways_refuse_the_image(path: str, text: str) -> None:
    assert f"named by {path}" in refusal(guest(**{path: text}))


def test_units_that_are_switched_off_or_have_other_names_are_no_reason() -> None:
    made = guest(**{"/etc/systemd/system/ssh-own.service": "ExecStartPre=test -f /srv/a\n"})
    made.add_other("/dev/null")
    made.add_link("/etc/systemd/system/ssh.service", "/dev/null")
    assert examine(made, SYSTEM)


def test_old_keys_and_certificates_go() -> None:
    stale = (
        "/etc/ssh/ssh_host_ed25519_key-cert.pub",
        "/etc/ssh/ssh_host_key",
        "/etc/ssh/certificates/host.pub",
    )
    config = "HostCertificate /etc/ssh/certificates/host.pub\nHostCertificate /not/there\n"
    made = guest(**dict.fromkeys(stale, "old"), **{CONFIG: config})
    apply(clean(examine(made, SYSTEM)), made)
    assert [made.kind(path) for path in stale] == [Kind.ABSENT] * 3


def test_files_that_include_each_other_without_end() -> None:
    files = {f"/srv/{number}": f"Include /srv/{number + 1}\n" for number in range(100)}
    assert "includes too many files" in refusal(guest(**{CONFIG: "Include /srv/0\n"}, **files))


class _Counting(FakeFilesystem):
    lists = 0

    def glob(self, pattern: str) -> tuple[str, ...]:
        self.lists += pattern.startswith("/srv")
        return super().glob(pattern)


def test_files_that_are_included_again_and_again_are_soon_too_many() -> None:
    """All that is included, of all lines together, would fill this host's memory."""
    made = _Counting(debian.FILES)
    made.add_file(CONFIG, "Include /srv/*\n" * 100)
    for number in range(30):
        made.add_file(f"/srv/{number}", "")
    examine(made, SYSTEM)
    for number in range(100):
        made.add_file(f"/srv/{number}", "")
    made.lists = 0
    assert f"{CONFIG} in the guest includes too many files" in refusal(made)
    assert made.lists == 1


def test_a_key_by_a_name_that_no_file_can_have() -> None:
    assert "no file can have that name" in refusal(guest(**{CONFIG: "HostKey /etc/ssh/a\0b\n"}))
