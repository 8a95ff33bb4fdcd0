# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a silent host had last is that host's: not what one of its name has in another cloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet.snapshot import (
    AskedHost,
    Snapshot,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.libvirtd.hosts import (
    Unreachable,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.vm import Domain

from .conftest import NAME, Parse

VM = Domain("db0", "11111111-2222-4333-8444-555555555555", "kvm0", "running", True, made=True)
OTHER = Domain("web0", "21111111-2222-4333-8444-555555555555", "kvm1", "running", True, made=True)
KEY, NEW = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
Listed = Callable[..., set[str]]
HERE = {
    "MAGLICA_CLIENT_WORKER": "prod.example.jp",
    "MAGLICA_CLIENT_WORKER_KEY": KEY,
    "MAGLICA_SOURCE": "client_worker",
}


def answered(*domains: Domain, uri: str | None = None) -> Snapshot:
    return Snapshot(vms=domains, asked=tuple(AskedHost(each.host, uri) for each in domains))


def silent(*hosts: str, uri: str | None = None) -> Snapshot:
    return Snapshot(
        unreachable=tuple(Unreachable(host, "silent") for host in hosts),
        asked=tuple(AskedHost(host, uri) for host in hosts),
    )


@pytest.fixture
def listed(parse: Parse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    """Return a function that lists vms by one inventory's file in some environment."""
    (tmp_path / "library.key").write_text("x")
    monkeypatch.setenv("MAGLICA_KEY_FILE", str(tmp_path / "library.key"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    options = {
        "plugin": NAME,
        "on_host_error": "last_known",
        "cache_plugin": "jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }

    def names(seen: Snapshot, **changes: str) -> set[str]:
        surroundings = {**HERE, **changes}
        source = surroundings.pop("MAGLICA_SOURCE")
        for variable, value in surroundings.items():
            monkeypatch.setenv(variable, value)
        text = yaml.safe_dump({**options, "source": source})
        return set(parse(text, seen).inventory.hosts)

    return names


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"MAGLICA_CLIENT_WORKER": "test.example.jp"},
        {"MAGLICA_CLIENT_WORKER_KEY": NEW},
        {"uri": "qemu+ssh://kvm0.test.example.jp/system"},
    ],
)
def test_another_cloud_of_the_same_names(listed: Listed, elsewhere: dict[str, str]) -> None:
    changes = dict(elsewhere)
    uri = changes.pop("uri", None)
    assert listed(answered(VM)) == {"db0"}
    assert listed(silent("kvm0", uri=uri), **changes) == set()
    # What is known of the one is not forgotten by what the other shows.
    assert listed(silent("kvm0")) == {"db0"}


def test_with_more_or_fewer_hosts_the_others_are_still_known(listed: Listed) -> None:
    assert listed(answered(VM)) == {"db0"}
    assert listed(silent("kvm0", "kvm1")) == {"db0"}
    assert listed(answered(VM, OTHER)) == {"db0", "web0"}
    assert listed(answered(VM)) == {"db0"}
    assert listed(silent("kvm0", "kvm1")) == {"db0", "web0"}
