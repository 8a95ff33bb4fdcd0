# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's cache is written and used: libvirt's calls are counted on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.latency import Proxy, proxied
from support.testdriver import Libvirtd

from .conftest import Inventory

CACHE = {
    "cache": True,
    "cache_plugin": "ansible.builtin.jsonfile",
    "cache_connection": "cache",
    "cache_timeout": 3600,
}


@pytest.fixture
def proxy(libvirtd: Libvirtd) -> Iterator[Proxy]:
    with proxied(libvirtd.port) as running:
        yield running


@pytest.fixture
def options(proxy: Proxy, kvm0: str) -> dict[str, Any]:
    return _host_behind(proxy, kvm0)


def _host_behind(proxy: Proxy, uri: str) -> dict[str, Any]:
    parts = urlsplit(uri)._replace(netloc=f"127.0.0.1:{proxy.port}")
    return {"hosts": [{"name": "kvm0", "uri": parts.geturl()}]}


def test_a_hit_asks_no_host(inventory: Inventory, options: dict[str, Any], proxy: Proxy) -> None:
    first = inventory.list({**options, **CACHE})
    calls = proxy.calls.total()
    assert calls > 6
    second = inventory.list({**options, **CACHE})
    assert proxy.calls.total() == calls
    assert second.data == first.data
    assert second.group("maglica_vms") == ["db.example.jp", "idle.example.jp", "vm0.example.jp"]


def test_a_hit_is_shown_as_the_options_say_now(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy
) -> None:
    inventory.list({**options, **CACHE})
    calls = proxy.calls.total()
    other = {"group_prefix": "lab_", "groups": {"small": "maglica_memory_mib < 1024"}}
    listed = inventory.list({**options, **CACHE, **other})
    assert proxy.calls.total() == calls
    assert "vm0.example.jp" in listed.group("lab_vms")
    assert "vm0.example.jp" in listed.group("small")


def test_other_questions_are_asked_anew(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy
) -> None:
    inventory.list({**options, **CACHE})
    for other in ({"xml": True}, {"include_filters": [{"name": ["vm0*"]}]}):
        calls = proxy.calls.total()
        inventory.list({**options, **CACHE, **other})
        assert proxy.calls.total() > calls


def test_flush_cache_reads_again(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy
) -> None:
    path = inventory.write({**options, **CACHE})
    inventory.list(path)
    calls = proxy.calls.total()
    inventory.list(path, "--list", "--flush-cache")
    assert proxy.calls.total() == 2 * calls
    inventory.list(path)
    assert proxy.calls.total() == 2 * calls


def test_a_change_by_a_task_makes_the_cache_stale(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy
) -> None:
    inventory.list({**options, **CACHE})
    calls = proxy.calls.total()
    note = (
        "from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes"
    )
    inventory.python(
        "import ansible.plugins.loader as l; l.init_plugin_loader([])", note, "changes.note()"
    )
    inventory.list({**options, **CACHE})
    assert proxy.calls.total() == 2 * calls
    inventory.list({**options, **CACHE})
    assert proxy.calls.total() == 2 * calls


def test_without_cache_each_listing_asks(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy
) -> None:
    inventory.list(options)
    calls = proxy.calls.total()
    inventory.list(options)
    assert proxy.calls.total() == 2 * calls


def test_rubbish_in_the_cache_is_read_anew(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy
) -> None:
    first = inventory.list({**options, **CACHE})
    (file,) = (inventory.folder / "cache").iterdir()
    for rubbish in ('{"version": 1}', "{}", '{"version": 99, "vms": [{"no": "domain"}]}'):
        file.write_text(rubbish)
        listed = inventory.list({**options, **CACHE})
        assert listed.group("maglica_vms") == first.group("maglica_vms"), listed.warnings


def test_last_known(inventory: Inventory, libvirtd: Libvirtd, kvm0: str) -> None:
    keeping = {**CACHE, "cache_timeout": 1, "cache": False, "on_host_error": "last_known"}
    with proxied(libvirtd.port) as proxy:
        options = {**_host_behind(proxy, kvm0), **keeping}
        assert "vm0.example.jp" in inventory.list(options).group("maglica_vms")
    # Now nobody listens there any more.
    listed = inventory.list(options)
    assert "vm0.example.jp" in listed.group("maglica_vms")
    assert "host kvm0 is left out: unable to connect" not in listed.warnings
    assert "host kvm0 is shown as it was last known: unable to connect" in listed.warnings
    missing = listed.hosts["vm0.example.jp"]["maglica_unreachable_hosts"]
    assert [host["host"] for host in missing] == ["kvm0"]


def _both(options: dict[str, Any], uri: str) -> dict[str, Any]:
    return {**options, "hosts": [*options["hosts"], {"name": "kvm1", "uri": uri}]}


def test_what_was_read_without_a_host_is_not_kept(
    inventory: Inventory, options: dict[str, Any], proxy: Proxy, dead: str
) -> None:
    both = _both(options, dead)
    inventory.list({**both, **CACHE})
    calls = proxy.calls.total()
    listed = inventory.list({**both, **CACHE})
    assert proxy.calls.total() == 2 * calls
    assert "host kvm1 is left out: unable to connect" in listed.warnings
    listed = inventory.list({**both, **CACHE, "on_host_error": "fail"})
    assert listed.group("maglica_vms") == []
    assert "host kvm1: unable to connect" in listed.warnings


def test_a_partial_reading_ends_an_earlier_one(
    inventory: Inventory, libvirtd: Libvirtd, kvm0: str, kvm1: str
) -> None:
    with proxied(libvirtd.port) as proxy:
        both = {**_both(_host_behind(proxy, kvm0), kvm1), **CACHE}
        path = inventory.write(both)
        assert "vm0.example.jp" in inventory.list(path).group("maglica_vms")
    for arguments in (("--list", "--flush-cache"), ("--list",)):
        listed = inventory.list(path, *arguments)
        assert "vm0.example.jp" not in listed.group("maglica_vms")
        assert "host kvm0 is left out" in listed.warnings


def test_what_was_last_known_outlives_another_host(
    inventory: Inventory, libvirtd: Libvirtd, kvm0: str, kvm1: str, dead: str
) -> None:
    keeping = {**CACHE, "on_host_error": "last_known"}
    with proxied(libvirtd.port) as proxy:
        options = _host_behind(proxy, kvm0)
        inventory.list({**options, **keeping})
    # Two hosts are added while the first is down, and of one of these nothing was ever known.
    more = _both(options, kvm1)
    more["hosts"].append({"name": "kvm2", "uri": dead})
    listed = inventory.list({**more, **keeping})
    assert "vm0.example.jp" in listed.group("maglica_vms")
    assert "db.example.jp@kvm1" in listed.group("maglica_vms")
    assert "host kvm0 is shown as it was last known: unable to connect" in listed.warnings
    assert "host kvm2 is left out: unable to connect" in listed.warnings
