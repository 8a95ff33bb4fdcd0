# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""UEFI variables of clones, on a host in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.domain import definition
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from support.fake_host import IMAGE, FakeHost, assert_clean
from support.fake_libvirt import Domain, libvirtError


def nvram_of(host: FakeHost, request: Request) -> Path:
    return host.folder / f"vm0.example.jp.{vm_uuid(request.id)[:8]}_VARS.fd"


def test_uefi_variables_are_copied(host: FakeHost) -> None:
    source = host.folder / "image_VARS.fd"
    source.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{source}</nvram>")
    request = host.request()
    host.run(request)
    assert nvram_of(host, request).read_bytes() == b"variables"


def test_uefi_variables_in_a_place_that_the_definition_does_not_state(host: FakeHost) -> None:
    host.connection.nvram = host.folder
    (host.folder / f"{IMAGE}_VARS.fd").write_bytes(b"variables")
    host.add_image(firmware=" firmware='efi'")
    request = host.request()
    (done,) = host.run(request)
    assert done.state is State.DONE
    own = nvram_of(host, request)
    assert own.read_bytes() == b"variables"
    made = definition.describe(host.connection.domains[-1].xml)
    assert (made.nvram, made.made.nvram) == (str(own), str(own))


def test_an_image_that_never_ran_has_no_uefi_variables_yet(host: FakeHost) -> None:
    host.connection.nvram = host.folder
    host.add_image(firmware=" firmware='efi'")
    request = host.request()
    (done,) = host.run(request)
    assert done.state is State.DONE
    assert not nvram_of(host, request).exists()
    made = definition.describe(host.connection.domains[-1].xml)
    assert made.nvram == str(nvram_of(host, request))


def test_uefi_variables_that_libvirt_made_go_with_a_vm_that_does_not_start(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.connection.nvram = host.folder
    host.add_image(firmware=" firmware='efi'")
    request = host.request()

    def create(domain: Domain) -> None:
        Path(definition.describe(domain.xml).nvram).write_bytes(b"template")
        raise libvirtError("it does not start")

    monkeypatch.setattr(Domain, "create", create)
    (failed,) = host.run(request)
    assert failed.state is State.FAILED
    assert not nvram_of(host, request).exists()
    assert_clean(host, request)


@pytest.mark.parametrize("source_exists", [True, False])
@pytest.mark.parametrize("is_link", [True, False])
def test_uefi_variables_that_are_there_are_kept(
    host: FakeHost, source_exists: bool, is_link: bool
) -> None:
    source = host.folder / "image_VARS.fd"
    if source_exists:
        source.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{source}</nvram>")
    request = host.request()
    theirs = nvram_of(host, request)
    if is_link:
        theirs.symlink_to("nowhere")
    else:
        theirs.write_bytes(b"another vm's")
    (failed,) = host.run(request)
    assert failed.failure.code == "storage_failed"
    assert f"{theirs}, for its UEFI variables, is there already" in failed.failure.text
    assert theirs.is_symlink() if is_link else theirs.read_bytes() == b"another vm's"


def test_uefi_variables_are_removed_when_the_clone_fails(host: FakeHost) -> None:
    source = host.folder / "image_VARS.fd"
    source.write_bytes(b"variables")
    host.add_image(nvram=f"<nvram>{source}</nvram>")
    host.connection.failures["defineXML"] = [libvirtError("no")]
    request = host.request()
    (failed,) = host.run(request)
    assert failed.state is State.FAILED
    assert not nvram_of(host, request).exists()
    assert_clean(host, request)
