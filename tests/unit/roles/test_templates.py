# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles' templates write, as those that read it understand it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from maglica.config import config
from maglica.model.memory_limit import MemoryLimit
from support import role_variables
from support.role_templates import ROLES, render


def conf(role: str, template: str, **variables: Any) -> config.Config:
    return config.parse(render(role, template, **variables), Path("/etc/maglica/x.conf"))


def test_the_limits_of_memory_and_the_weight_are_written_for_all_hosts_and_for_one() -> None:
    own = {"maglica_host_memory_overcommit": 1.5, "maglica_host_memory_reserve": 2048}
    hosts = {"a": {**own, "maglica_host_weight": 2}, "b": {}}
    read = conf("client_worker", "client_worker.conf.j2", hostvars=hosts)
    limits = [read.need_client_worker_service().memory_limit(host) for host in read.hosts]
    assert limits == [MemoryLimit(1.5, 2048), MemoryLimit(1.0, 512)]
    assert [host.weight for host in read.hosts] == [2, 1]


@pytest.mark.parametrize(
    ("known", "uri"),
    [
        ({}, "qemu+ssh://kvm0/system"),
        (
            {"ansible_host": "192.0.2.7", "ansible_user": "admin"},
            "qemu+ssh://admin@192.0.2.7/system",
        ),
        ({"ansible_host": "192.0.2.7", "maglica_host_address": "h"}, "qemu+ssh://h/system"),
        ({"ansible_host": "fd00::1", "ansible_user": "a@b"}, "qemu+ssh://a%40b@[fd00::1]/system"),
        ({"ansible_host": "fd00::1", "ansible_port": 2222}, "qemu+ssh://[fd00::1]:2222/system"),
        ({"ansible_host": "x", "maglica_host_uri": "qemu+tls://y/system"}, "qemu+tls://y/system"),
        # What the inventory plugin shows is not a role's input.
        (
            {"maglica_uri": "a://", "maglica_address": "b", "maglica_weight": 3},
            "qemu+ssh://kvm0/system",
        ),
    ],
)
def test_a_host_is_reached_as_ansible_does_unless_it_is_said(
    known: dict[str, Any], uri: str
) -> None:
    read = conf("library", "maglica.conf.j2", hostvars={"kvm0": known})
    assert read.hosts == (config.HostEntry("kvm0", uri, 1),)


@pytest.mark.parametrize(
    ("hosts", "may_use_it", "asked"),
    [
        (["server"], True, ["server"]),
        (["server"], False, []),
        # Where others are named, one that is missing would be missed.
        (["server", "kvm1"], False, ["server", "kvm1"]),
    ],
)
def test_who_may_not_use_libvirt_on_the_only_machine_asks_the_client_worker(
    hosts: list[str], may_use_it: bool, asked: list[str]
) -> None:
    known = {host: {} for host in hosts} | {"server": {"maglica_host_uri": "qemu:///system"}}
    seen = {"stat": {"writeable": may_use_it}}
    read = conf("library", "maglica.conf.j2", hostvars=known, library_own_libvirtd=seen)
    assert [host.name for host in read.hosts] == asked


def test_a_host_with_a_certificate_is_reached_by_tls_unless_it_is_said() -> None:
    hosts = {
        "kvm0": {"ansible_host": "fd00::1", "ansible_user": "admin"},
        "kvm1": {"ansible_host": "192.0.2.8"},
        "kvm2": {"maglica_host_uri": "qemu+tcp://x/system"},
    }
    given = {"hosts": ["kvm0", "kvm2", "other"]}
    read = conf(
        *("library", "maglica.conf.j2"),
        hostvars=hosts,
        certificates_answer=given,
        library_user_dir="/home/a b/.config/maglica",
    )
    assert [host.uri for host in read.hosts] == [
        "qemu+tls://[fd00::1]/system?pkipath=/home/a%20b/.config/maglica/pki",
        "qemu+ssh://192.0.2.8/system",
        "qemu+tcp://x/system",
    ]


def test_who_logs_in_with_a_password_does_so_where_there_is_a_certificate() -> None:
    read = conf(
        *("library", "maglica.conf.j2"),
        hostvars={"kvm0": {}, "kvm1": {}},
        certificates_answer={"hosts": ["kvm0"]},
        library_user_dir="/home/a b",
        library_sasl_user="reader",
    )
    assert [host.uri for host in read.hosts] == [
        "qemu+tls://kvm0/system?pkipath=/home/a%20b/pki&authfile=/home/a%20b/library.auth",
        "qemu+ssh://kvm1/system",
    ]


def test_a_user_s_images_are_written_for_the_catalog() -> None:
    image = {"url": "https://example.com/a.img?b=c%d", "checksum": f"sha256:{'a' * 64}"}
    for images in ({}, {"golden": {**image, "firmware": "uefi"}, "other": image}):
        read = conf("library", "maglica.conf.j2", hostvars={"a": {}}, library_images=images)
        assert [(entry.name, entry.firmware) for entry in read.images] == [
            (name, image.get("firmware")) for name, image in images.items()
        ]
        assert all(entry.url == image["url"] for entry in read.images)


def test_all_of_a_note_on_several_lines_is_a_comment() -> None:
    templates = sorted(ROLES.glob("*/templates/*.j2"))
    assert len(templates) == 8
    for template in templates:
        notes = [line for line in template.read_text().splitlines() if "ansible_managed" in line]
        rendered = [jinja2.Template(note).render(ansible_managed="a\nb\nc") for note in notes]
        assert rendered == ["# a\n# b\n# c"]


def test_workers_on_one_machine_have_nothing_in_common() -> None:
    paths = [
        role_variables.defaults(ROLES / role)[name]
        for role, name in (
            ("client_worker", "client_worker_state_dir"),
            ("host_worker", "host_worker_state_dir"),
        )
    ]
    one, other = map(Path, paths)
    assert not one.is_relative_to(other)
    assert not other.is_relative_to(one)


def test_the_environment_of_a_host_worker_is_as_systemd_reads_it() -> None:
    text = (ROLES / "host_worker/templates/maglica-host-worker.service.j2").read_text()
    text = "".join(re.findall(r"^{% for (?:.|\n)*?{% endfor %}\n", text, re.MULTILINE))
    given = {"https_proxy": 'http://user:a%20"\\b@proxy.example.jp:3128', "no_proxy": "a b"}
    template = jinja2.Environment(trim_blocks=True, autoescape=False).from_string(text)  # noqa: S701
    assert template.render(host_worker_environment={}) == ""
    assert template.render(host_worker_environment=given) == (
        'Environment="https_proxy=http://user:a%%20\\"\\\\b@proxy.example.jp:3128"\n'
        'Environment="no_proxy=a b"\n'
    )


def test_a_key_that_is_to_follow_the_client_worker_s_is_written_behind_it() -> None:
    one = conf("library", "maglica.conf.j2").need_client_worker().public_key
    following = {"content": "0" * 40}
    read = conf("library", "maglica.conf.j2", library_client_worker_next_key=following)
    assert read.need_client_worker().public_key == f"{one} {'0' * 40}"
